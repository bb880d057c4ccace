// What is asked of the agent. Each request carries a proof of the page's half of the
// session; the browser adds the other one.

const keyName = "popbridge-key";
const silence = 30000; // milliseconds of a stream; the agent sends a line every 20 s (aliveEvery in agent/web)

/** An answer that is an error: what happened, and what to do. */
export class Fault extends Error {
  /** @param {{kind?: string, text: string, hint?: string}} f @param {number} status */
  constructor(f, status) {
    super(f.text);
    this.kind = f.kind ?? ""; // "": it is not said
    this.hint = f.hint ?? "";
    this.status = status;
  }
}

/** There is no answer, or its end is missing: the agent does not run, or the machine slept. */
export class Away extends Error {}

/** A stream brings nothing any more: the agent hangs, or the way to it does. */
export class Silent extends Away {}

/** Whether the page itself has ended a request. @param {unknown} e */
export const isEnded = e => e instanceof DOMException && e.name === "AbortError";

/** What a request or a stream failed with; what the page itself has ended is no trouble. @param {unknown} e @returns {never} */
export function away(e) {
  proven = null;
  if (e instanceof Silent || isEnded(e)) throw e;
  throw new Away(String(e));
}

/** @param {string} path @param {RequestInit} request */
async function get(path, request) {
  const answer = await fetch(path, { cache: "no-store", redirect: "error", ...request }).catch(away);
  if (answer.ok) return answer;
  const f = await answer.json().catch(() => ({ text: answer.statusText }));
  throw new Fault(f, answer.status);
}

/** What shows the process of the agent that answers that this page has the key; null: it has to be asked. @type {{key: string, text: Promise<string>} | null} */
let proven = null;

/** @param {string} key */
async function prove(key) {
  const asked = get("/process", { credentials: "omit" });
  asked.catch(() => {}); // it is awaited below
  const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text);
  const hex = (/** @type {ArrayBuffer} */ b) => [...new Uint8Array(b)].map(n => (n + 256).toString(16).slice(1)).join("");
  const hash = hex(await crypto.subtle.digest("SHA-256", bytes(key)));
  const secret = await crypto.subtle.importKey("raw", bytes(hash), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const { process } = await (await asked).json().catch(away);
  return hex(await crypto.subtle.sign("HMAC", secret, bytes(process)));
}

/**
 * What shows the agent that this page has the key. Another program may have the port by
 * now, so the key stays here, and the proof is good for one process of the agent only.
 * @param {AbortSignal} [signal]
 */
async function proof(signal) {
  const key = localStorage.getItem(keyName);
  if (!key) return "";
  if (proven?.key !== key) proven = { key, text: prove(key) };
  const mine = proven;
  const ended = new Promise((_, no) => signal?.addEventListener("abort", () => no(signal.reason), { once: true }));
  try {
    signal?.throwIfAborted();
    return await Promise.race([mine.text, ended]);
  } catch (e) {
    if (proven === mine) proven = null;
    throw e;
  }
}

/** @param {string} method @param {string} path @param {any} [body] @param {AbortSignal} [signal] @returns {Promise<Response>} */
async function send(method, path, body, signal) {
  const known = proven, request = /** @type {RequestInit} */ ({ method, signal, credentials: "same-origin", headers: { "Popbridge-Key": await proof(signal) } });
  if (body !== undefined || method !== "GET") {
    request.body = JSON.stringify(body ?? {});
    request.headers = { ...request.headers, "Content-Type": "application/json" };
  }
  try {
    return await get(path, request);
  } catch (e) {
    if (!known || !isSignedOut(e)) throw e;
    proven = null; // the agent may have been started anew
    return send(method, path, body, signal);
  }
}

/** Whether the browser is not signed in any more. @param {unknown} e */
export const isSignedOut = e => e instanceof Fault && (e.status === 401 || e.status === 403);

/** What only waits for the agent, or looks, and goes on. @type {Record<string, {end: AbortController, accounts?: string[]} | null>} */
const waiting = { "/sync": null, "/preview": null, "/probe": null };

/**
 * A browser makes six connections to the agent, for all pages: of each of those that wait
 * there is one, the newest. That of fetches is for the accounts of the former, too, which
 * may not have been sent yet.
 * @template T
 * @param {string} path @param {any} body @param {(body: any, signal?: AbortSignal) => Promise<T>} go
 * @returns {Promise<T>}
 */
async function newest(path, body, go) {
  if (!(path in waiting)) return go(body);
  const before = waiting[path], mine = { end: new AbortController(), accounts: body.accounts };
  if (before && path === "/sync") mine.accounts = before.accounts && body.accounts && [...before.accounts, ...body.accounts.filter((/** @type {string} */ a) => !before.accounts?.includes(a))];
  before?.end.abort();
  waiting[path] = mine;
  try {
    return await go({ ...body, accounts: mine.accounts }, mine.end.signal);
  } finally {
    if (waiting[path] === mine) waiting[path] = null;
  }
}

/** @param {string} method @param {string} path @param {any} [body] @returns {Promise<any>} */
export async function ask(method, path, body) {
  return newest(path, body, async (body, signal) => (await send(method, "/api" + path, body, signal)).json().catch(away));
}

/**
 * Asks what takes a while; the answer comes in lines.
 * @param {string} path
 * @param {any} body
 * @param {(p: import("./types").Progress) => void} progress
 * @param {AbortSignal} [signal]
 * @returns {Promise<any[]>}
 */
export async function work(path, body, progress, signal) {
  return newest(path, body, async (body, superseded) => {
    for await (const line of lines(await send("POST", "/api" + path, body, signal ?? superseded))) {
      if (line.progress) progress(line.progress);
      if (line.error) throw new Fault(line.error, 422);
      if (line.end) return line.result ?? [];
    }
    throw new Away("no end");
  });
}

export const known = () => localStorage.getItem(keyName) !== null;

// What a page needs first is asked for while the rest of it still loads.
const soon = known() && !document.hidden && !/^#t=/.test(location.hash);
const opening = new AbortController();
const opened = stream("/api/events", opening.signal);
let first = soon ? opened.next() : null;
let past = soon && /^(#\/?)?$/.test(location.hash) ? ask("GET", "/history") : null;
first?.catch(() => {}); // who takes it is told
past?.catch(() => {});

/** Waits a moment for the state, so that the page is laid out once. */
export const ready = () => Promise.race([first?.catch(() => {}), new Promise(done => setTimeout(done, 100))]);

/** Mail per day, and the room that it takes. @returns {Promise<import("./types").Day[]>} */
export function history() {
  const asked = past ?? ask("GET", "/history");
  past = null;
  return asked;
}

/**
 * The state of the agent, each time that it changes, until signal.
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<import("./types").Event>}
 */
export async function* events(signal) {
  if (!first) return yield* stream("/api/events", signal);
  signal.addEventListener("abort", () => opening.abort(), { once: true });
  const { value, done } = await first.finally(() => { first = null; });
  if (!done) yield value;
  yield* opened;
}

/**
 * The records of the log behind the one with this number, then new ones, until signal.
 * @param {number} after
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<import("./types").Entry>}
 */
export async function* log(after, signal) {
  yield* stream("/api/log?after=" + after, signal);
}

/** @param {string} path @param {AbortSignal} signal */
async function* stream(path, signal) {
  const end = new AbortController(), stop = () => end.abort();
  let timer = 0;
  const alive = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => end.abort(new Silent(path)), silence);
  };
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    alive();
    for await (const line of lines(await send("GET", path, undefined, end.signal))) {
      alive();
      if (line) yield line; // null says that it goes on
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

/** @param {Response} answer @returns {AsyncGenerator<any>} */
async function* lines(answer) {
  if (!answer.body) return;
  const reader = answer.body.getReader(), decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read().catch(away);
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    for (let end; (end = rest.indexOf("\n")) >= 0; rest = rest.slice(end + 1)) yield JSON.parse(rest.slice(0, end));
  }
}

/** Exchanges a ticket for a session. @param {string} ticket */
export async function signIn(ticket) {
  const answer = await send("POST", "/session", { ticket });
  localStorage.setItem(keyName, (await answer.json()).key);
}

/** The id of the session of this browser. @returns {Promise<string>} */
export async function session() {
  return (await (await send("GET", "/session")).json()).id;
}

export async function signOut() {
  await send("DELETE", "/session");
  localStorage.removeItem(keyName);
}

proof().catch(() => {}); // while the other modules load
