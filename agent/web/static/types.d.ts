// Made of the types of the routes by TestTypes; see there.

export interface About {
  version: string;
  commit: string;
  date?: string;
  go: string;
  sqlite: string;
  system: string;
  modules: Module[];
  config: string;
  data_dir: string;
  log: string;
  docs: string;
}

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
  kind?: string;
  awaiting: number;
  progress?: BridgeProgress | null;
  deletions: Deletion[];
  deletions_total: number;
  problems?: string[];
  notes?: string[];
  expire?: string;
  min_interval?: number;
}

export interface AccountDetails {
  account: string;
  user: string;
  server: MailServer;
  settings: Record<string, string>;
  password: string;
  signs_in: boolean;
  oauth: string;
  token_provider: string;
  advice: Advice;
  sending: SendsBy;
}

export interface AccountName {
  account: string;
}

export interface Accounts {
  accounts: string[];
}

export interface AddedAccount {
  wrong: Wrong[];
  account: string;
  user: string;
  password: string;
}

export interface Address {
  address: string;
  known: boolean;
  by_hand: boolean;
}

export interface Advice {
  provider: string;
  needs: string[][];
  enable_url: string;
  help_urls: string[];
  min_interval: number;
  note: string;
}

export interface Backup {
  user: string;
  messages: number;
  files: number;
  new_files: number;
  bytes: number;
  devices?: string[];
  devices_restored: boolean;
  held?: number;
  missing: Problem[];
}

export interface BeginSignIn {
  account: string;
  device: boolean;
}

export interface BridgeProgress {
  account?: string;
  phase?: string;
  messages: number;
  total: number;
  bytes: number;
  all_bytes: number;
  done: boolean;
}

export interface ClientFile {
  name: string;
  for: string;
  data: string;
}

export interface ClientSetup {
  user: string;
  device: string;
  host: string;
  port: number;
  security: string;
  here: boolean;
  outgoing: Outgoing[];
  server_fingerprint: string;
  fingerprint: string;
  qr: Drawing | null;
  files: ClientFile[];
}

export interface Condition {
  code: string;
  severity: string;
  text: string;
  hint: string;
  since: string;
  user?: string;
  source?: string;
  link?: string;
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

export interface Decide {
  user?: string;
  ids: number[];
  do: string;
}

export interface Decided {
  id: number;
  error: string;
  kind?: string;
  hint: string;
}

export interface Deletion {
  uidl: string;
  size: number;
  stored_at: string | null;
  why?: string;
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
  send: boolean;
  created_at: string;
  last_used_at: string | null;
  connections: number;
  connected_since: string | null;
  programs: string[];
}

export interface DeviceChoices {
  users: UserFolders[];
  lan: boolean;
  lan_off: string;
  capabilities: string[];
}

export interface DeviceLogin {
  user: string;
  device: string;
}

export interface DeviceOf {
  user: string;
}

export interface Discovered {
  address: string;
  account: string;
  provider: string;
  pop: MailServer;
  smtp: MailServer;
  other_username: string;
  oauth2_only: boolean;
  oauth: string;
  token_provider: string;
  doubts: Doubt[];
  advice: Advice;
}

export interface Doubt {
  host: string;
  foreign: string;
}

export interface Drawing {
  size: number;
  path: string;
}

export interface End {
  at: string | null;
  reason: string;
  failed: boolean;
}

export interface Ended {
  sessions: number;
}

export interface Entry {
  seq: number;
  time: string;
  level: string;
  text: string;
  hint: string;
  detail: string;
  account: string;
  fields: Record<string, string>;
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
  until: string;
}

export interface ExpungedQuery {
  user?: string;
  mailbox?: string;
  match?: string;
  limit?: number;
  since?: string | null;
}

export interface FirstDevice {
  name: string;
  password: string;
  server: MailServer;
  outgoing: MailServer;
}

export interface LAN {
  listen: string[];
  clients: LANClient[];
  smtp: string[];
}

export interface LANClient {
  user: string;
  device: string;
  address: string;
  since: string;
  program: string;
}

export interface LastBackup {
  dir: string;
  at: string;
  users: Backup[];
  failed_at: string | null;
  error: string;
  hint: string;
}

export interface MadeClient {
  wrong: Wrong[];
  name: string;
}

export interface MadeDevice {
  user: string;
  name: string;
  read_only: boolean;
  folders: string[];
  without: string[];
  lan: boolean;
  send: boolean;
  created_at: string;
  last_used_at: string | null;
  connections: number;
  connected_since: string | null;
  programs: string[];
  password: string;
}

export interface MailServer {
  host: string;
  port: number;
  tls: string;
  username: string;
}

export interface Module {
  path: string;
  version: string;
}

export interface NewAccount {
  address: string;
  server: MailServer;
  smtp: MailServer;
  other_username: string;
  password: string;
  keep: string;
  oauth: boolean;
}

export interface NewClient {
  provider: string;
  client_id: string;
  client_secret: string;
  tenant: string;
}

export interface NewDevice {
  user: string;
  name: string;
  read_only: boolean;
  folders: string[];
  without: string[];
  lan: boolean;
  send: boolean | null;
}

export interface OutboxMessage {
  user: string;
  id: number;
  account: string;
  state: string;
  from: string;
  subject: string;
  size: number;
  queued: string;
  next: string | null;
  attempts: number;
  error: string;
  of_account: boolean;
  recipients: Recipient[];
}

export interface Outgoing {
  address: string;
  host: string;
  port: number;
  security: string;
  username: string;
  secret: string;
}

export interface PasteSignIn {
  account: string;
  text: string;
}

export interface PhonePage {
  url: string;
  until: string;
  page_fingerprint: string;
  fingerprint: string;
  host: string;
  port: number;
  smtp_port: number;
  qr: Drawing;
}

export interface PlannedAccount {
  wrong: Wrong[];
  preview: Preview | null;
}

export interface Preview {
  account: string;
  fetch: number;
  kept: number;
  policy: string;
  needs_confirm: boolean;
  delete: Deletion[];
  incomplete: Deletion[];
  shadow: boolean;
  doubtful: number;
  digest: string;
  error?: string;
  kind?: string;
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
  refused: boolean;
  error: string;
  kind?: string;
  hint: string;
  sending: SendProbe | null;
}

export interface Problem {
  user: string;
  code: string;
  text: string;
}

export interface Progress {
  user?: string;
  step?: string;
  asked?: string;
  answer?: string;
  account?: string;
  phase?: string;
  messages: number;
  total: number;
  bytes: number;
  all_bytes: number;
  done: boolean;
}

export interface Recipient {
  address: string;
  state: string;
  reply: string;
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

export interface Report {
  name: string;
  zip: string;
  files: string[];
}

export interface Restored {
  user: string;
  id: number;
  mailbox: string;
  uid: number;
}

export interface Seen {
  account: string;
  seen: string;
  incomplete: boolean;
}

export interface SendProbe {
  server: string;
  error: string;
  kind?: string;
  hint: string;
}

export interface SendsBy {
  server: MailServer;
  found: MailServer;
  password: string;
  off: boolean;
  shared: SharedAddress[];
}

export interface SetAccount {
  account: string;
  settings: Record<string, string>;
  seen: string;
}

export interface SetDevice {
  user: string;
  name: string;
  read_only: boolean | null;
  folders: string[];
  without: string[];
  lan: boolean | null;
  send: boolean | null;
}

export interface SetLogin {
  account: string;
  server: MailServer;
  password: string;
}

export interface SetSending {
  account: string;
  server: MailServer;
  own: boolean;
  password: string;
}

export interface SetSettings {
  values: Record<string, string>;
  forget: number;
}

export interface SetUp {
  user: string;
  device: string;
  at_once: boolean;
}

export interface Setting {
  key: string;
  value: string;
  line: number;
  default: string;
  doc: string;
  choices: string[];
  bool: boolean;
  fixed: string;
  restart: boolean;
}

export interface SettingProblem {
  key: string;
  line: number;
  text: string;
  hint: string;
}

export interface Settings {
  file: string;
  keys: Setting[];
  problems: SettingProblem[];
}

export interface SettingsSaved {
  problems: SettingProblem[];
  forgets: number;
  settings: Settings;
}

export interface SharedAddress {
  address: string;
  account: string;
}

export interface SignIn {
  account: string;
  method: string;
  url: string;
  user_code: string;
  paste: boolean;
  expires: string;
  state: string;
  pop: Try;
  smtp: Try;
  error: string;
  hint: string;
}

export interface Status {
  running: boolean;
  pid?: number;
  data_dir: string;
  listen: string[];
  smtp: string[];
  lan: LAN;
  web: string;
  accounts: Account[];
  health: Condition[];
  clients: number;
  programs: string[];
  last_end: End | null;
}

export interface Storage {
  data_dir: string;
  free: number;
  last_backup: LastBackup | null;
  same_disk: boolean;
  backup_command: string;
  restore_command: string;
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
  kind?: string;
  hint?: string;
}

export interface Tried {
  wrong: Wrong[];
  username: string;
  advice: Advice;
  command: string;
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
  refused: boolean;
  error: string;
  kind?: string;
  hint: string;
  sending: SendProbe | null;
}

export interface TriedSending {
  wrong: Wrong[];
  server: string;
  error: string;
  kind?: string;
  hint: string;
  refused: boolean;
}

export interface Try {
  state: string;
  text: string;
  hint: string;
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

export interface UserFolders {
  user: string;
  folders: string[];
}

export interface WebSession {
  id: string;
  browser: string;
  begun: string;
  used: string;
  ends: string;
  open: number;
}

export interface Wrong {
  key: string;
  text: string;
  hint: string;
}
