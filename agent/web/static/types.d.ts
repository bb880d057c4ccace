// Made of the types of the routes by TestTypes; see there.

export interface Account {
  name: string;
  user: string;
  folder: string;
  state: string;
  last_success: string | null;
  next_poll: string | null;
  stored: number;
  on_server: number;
  last_error: string;
  awaiting: number;
  progress?: Progress | null;
  deletions: Deletion[];
  deletions_total: number;
  problems?: string[];
  notes?: string[];
  expire?: string;
  min_interval?: number;
}

export interface Accounts {
  accounts: string[];
}

export interface AddDevice {
  user: string;
  name: string;
  password: string;
  read_only: boolean;
  folders: string[];
  without: string[];
  generated: boolean;
  lan: boolean;
}

export interface ApiAccount {
  account: string;
}

export interface Condition {
  code: string;
  severity: string;
  text: string;
  hint: string;
  since: string;
  user?: string;
  source?: string;
}

export interface Confirmed {
  user?: string;
  deletions: number;
  incomplete?: number;
  held?: boolean;
}

export interface Day {
  day: string;
  messages: number;
  bytes: number;
}

export interface Deletion {
  uidl: string;
  size: number;
  stored_at: string | null;
  reason: string;
  from?: string;
  subject?: string;
  date?: string | null;
}

export interface Device {
  user: string;
  name: string;
  read_only: boolean;
  folders: string[];
  without: string[];
  lan: boolean;
  created_at: string;
  last_used_at: string | null;
  connections: number;
  connected_since: string | null;
  programs: string[];
}

export interface End {
  at: string | null;
  reason: string;
  failed: boolean;
}

export interface Ended {
  sessions: number;
}

export interface Event {
  now: string;
  status?: Status | null;
}

export interface Expunged {
  user: string;
  id: number;
  mailbox: string;
  size: number;
  received: string;
  expunged_at: string;
  from: string;
  subject: string;
}

export interface ExpungedQuery {
  user?: string;
  mailbox?: string;
  match?: string;
  limit?: number;
  since?: string | null;
}

export interface Identity {
  Address: string;
  SMTP: Server;
}

export interface LAN {
  listen: string[];
  clients: LANClient[];
}

export interface LANClient {
  user: string;
  device: string;
  address: string;
  since: string;
  program: string;
}

export interface Pair {
  user: string;
  device: string;
  identities: Identity[];
}

export interface Pairing {
  url: string;
  until: string;
  fingerprint: string;
  host: string;
  port: number;
}

export interface Preview {
  account: string;
  fetch: number;
  kept: number;
  policy: string;
  needs_confirm: boolean;
  delete: Deletion[];
  shadow: boolean;
  doubtful: number;
  error?: string;
  hint?: string;
}

export interface Probe {
  account: string;
  server: string;
  tls: string;
  certificate: string;
  pin: string;
  pinned: boolean;
  capabilities: string;
  messages: number;
  bytes: number;
  warnings: string[];
  error: string;
  hint: string;
}

export interface Problem {
  user: string;
  code: string;
  text: string;
}

export interface Progress {
  account?: string;
  phase?: string;
  messages: number;
  total: number;
  bytes: number;
  all_bytes: number;
  done: boolean;
}

export interface Rename {
  from: string;
  to: string;
}

export interface Repaired {
  user: string;
  wanted: number;
  recovered: number;
  aside: string;
  rebuilt: boolean;
  mended: Problem[];
  left: Problem[];
}

export interface Restored {
  user: string;
  id: number;
  mailbox: string;
  uid: number;
}

export interface Server {
  Host: string;
  Port: number;
  TLS: string;
  Username: string;
  Auth: string[];
}

export interface SetDevice {
  user: string;
  name: string;
  read_only: boolean | null;
  folders: string[];
  without: string[];
  lan: boolean | null;
}

export interface Status {
  running: boolean;
  pid?: number;
  data_dir: string;
  listen: string[];
  lan: LAN;
  web: string;
  accounts: Account[];
  health: Condition[];
  clients: number;
  programs: string[];
  last_end: End | null;
}

export interface SyncResult {
  account: string;
  new: number;
  deleted: number;
  stored: number;
  problems: number;
  left?: string[];
  refused?: number;
  refused_said?: string;
  incomplete?: number;
  awaiting: number;
  paused?: boolean;
  error?: string;
  hint?: string;
}

export interface Undelete {
  user?: string;
  ids?: number[];
  all?: ExpungedQuery | null;
}

export interface User {
  name: string;
  messages: number;
  size: number;
  accounts: string[];
  devices: string[];
  error?: string;
  hint?: string;
}

export interface WebSession {
  id: string;
  browser: string;
  begun: string;
  used: string;
  ends: string;
  open: number;
}
