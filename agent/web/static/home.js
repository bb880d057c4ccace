// Does my mail flow, what is it doing, what does it want from me?
import { h, replace } from "./dom.js";
import { t, day, number, size, when, ago, span } from "./text.js";
import { ask, history as days } from "./api.js";
import { action, icon, failed, ofKind, plot, say } from "./parts.js";
import { accountOf, condition, poll, since } from "./health.js";

/** @typedef {import("./main").State} State */

/** How it is, in one sentence: whether mail comes, and how much wants a person. @param {State} s */
export function verdict(s) {
  const { accounts, health } = s.status;
  if (s.away) return { severity: "error", text: t("verdict.away") };
  if (accounts.length === 0) return { severity: "info", text: t("verdict.none") };
  const asked = accounts.filter(a => a.state !== "paused"), flowing = asked.filter(a => !a.last_error).length;
  const stopped = flowing === 0 || health.some(c => /^store-(full|unwritable|failed|missing)$/.test(c.code));
  const unsent = health.some(c => /^(send|smtp)-|^signin-needed$/.test(c.code)); // as StopsSending of agent/health
  const how = asked.length === 0 ? t("verdict.paused") : stopped ? t("verdict.stopped") : t(flowing < asked.length ? "verdict.some" : unsent ? "verdict.unsent" : "verdict.flows", { flowing, all: asked.length });
  const severity = ["error", "warning"].find(severity => health.some(c => c.severity === severity));
  if (severity) return { severity, text: t("verdict.and", { how, what: t("verdict." + severity, { n: health.length }) }) };
  if (asked.length === 0) return { severity: "info", text: t("verdict.alone", { how }) };
  if (flowing < asked.length) return { severity: "warning", text: t("verdict.alone", { how }) };
  const busy = asked.filter(a => a.state === "polling").length;
  if (busy > 0) return { severity: "ok", text: t("verdict.busy", { n: busy }) };
  if (asked.some(a => !a.last_success)) return { severity: "info", text: t("verdict.first") };
  const newest = asked.map(a => a.last_success ?? "").sort().pop() ?? "";
  return { severity: "ok", text: t("verdict.ok", { n: accounts.length, ago: ago(newest, s.now) }) };
}

/** The rate of what a poll fetches, from what was told before. @type {Map<string, {at: number, bytes: number}[]>} */
const rates = new Map();

/** @param {import("./types").Account} a @param {State} s */
function progress(a, s) {
  const p = a.progress;
  if (!p) {
    rates.delete(a.name);
    return null;
  }
  const seen = rates.get(a.name) ?? [];
  if (seen.length === 0 || seen[seen.length - 1].bytes !== p.bytes) seen.push({ at: s.now.getTime(), bytes: p.bytes });
  if (seen.length > 12) seen.shift();
  rates.set(a.name, seen);
  const took = (s.now.getTime() - seen[0].at) / 1000, got = p.bytes - seen[0].bytes;
  const rate = took > 0 && got > 0 ? got / took : 0;
  const parts = [t("phase." + p.phase)];
  if (p.total > 0) parts.push(t("progress.messages", { done: p.messages, n: p.total }));
  if (p.all_bytes > 0) parts.push(t("progress.bytes", { done: size(p.bytes), all: size(p.all_bytes) }));
  if (rate > 0) parts.push(t("progress.rate", { rate: size(rate) }));
  if (rate > 0 && p.all_bytes > p.bytes) parts.push(t("progress.left", { span: span((p.all_bytes - p.bytes) / rate) }));
  return [h("progress", { max: Math.max(1, p.all_bytes), value: p.bytes, "aria-label": t("progress.label", { account: a.name }) }), h("p", { class: "live" }, parts.join(", "))];
}

/** @param {import("./types").Account} a */
export const look = a => a.state === "polling" ? "busy" : a.state === "paused" ? "paused" : a.last_error ? "error" : a.last_success ? "ok" : "info";

/** A card of an account, and what brings it up to date. @param {string} name */
function card(name) {
  const state = h("p", { class: "state" }), live = h("div", {}), facts = h("dl", { class: "facts" });
  const now = poll(t("poll"), [name], { label: t("poll.label", { account: name }) });
  const resume = action(t("account.resume"), async () => {
    await ask("PATCH", "/accounts", { account: name, settings: { paused: "" } });
    say(t("account.resumed")); // the button goes
  }, { label: t("account.resume.label", { account: name }) });
  const el = h("li", { class: "card" },
    h("h3", {}, h("a", { href: "#/account/" + encodeURIComponent(name) }, name)), state, live, facts, now, resume);
  const update = (/** @type {import("./types").Account} */ a, /** @type {State} */ s) => {
    replace(state, icon(look(a)), " ", t("state." + (a.last_error && a.state !== "polling" && a.state !== "paused" ? "trouble" : a.last_success || a.state !== "idle" ? a.state : "new")));
    const wrong = a.last_error && a.state !== "polling" && !s.status.health.some(c => accountOf(c) === a.name); // what needs a person stands above
    replace(live, progress(a, s), wrong && ofKind(a.kind) && h("p", {}, ofKind(a.kind)), wrong && h("p", { class: "error", lang: "en" }, a.last_error));
    replace(facts,
      h("dt", {}, t("account.last")), h("dd", { title: when(a.last_success, s.now) }, a.last_success ? ago(a.last_success, s.now) : t("never")),
      h("dt", {}, t("account.next")), h("dd", { title: when(a.next_poll, s.now) }, a.state === "polling" ? t("account.after") : a.next_poll ? ago(a.next_poll, s.now) : t("account.none")),
      h("dt", {}, t("account.stored")), h("dd", {}, number(a.stored)),
      h("dt", {}, t("account.server")), h("dd", {}, a.last_success || a.on_server > 0 ? number(a.on_server) : t("account.server.unknown")));
    now.hidden = a.state === "paused";
    resume.hidden = !now.hidden;
  };
  return { el, update };
}

/** @type {import("./main").Page} */
export default function home(el, _, s) {
  const line = h("p", { class: "verdict" }), wants = h("ul", { class: "conditions" });
  const wanted = h("section", { "aria-labelledby": "wants" }, h("h2", { id: "wants" }, t("home.wants")), wants);
  const list = h("ul", { class: "cards" });
  /** @type {Map<string, ReturnType<typeof card>>} */
  const cards = new Map();
  let told = "";
  /** What is shown of the conditions, each as it was told. @type {Map<string, HTMLElement>} */
  let known = new Map();
  const waiting = h("a", { class: "button", href: "#/outbox" }, t("home.outbox"));
  const all = poll(t("poll.all")), past = history(), more = h("a", { href: "#/add" }, t("home.add")), title = h("h2", { id: "accounts" }, t("home.accounts"));
  el.append(h("h1", {}, t("nav.home")), line, wanted,
    h("section", { "aria-labelledby": "accounts" }, title, list, h("div", { class: "buttons" }, all, more, waiting)), past);

  /** @param {State | null} s */
  function update(s) {
    if (!s) return;
    const v = verdict(s);
    if (v.text !== told) {
      told = v.text;
      line.className = "verdict " + v.severity;
      replace(line, icon(v.severity), " ", v.text);
    }
    const rank = ["error", "warning", "info"];
    const conditions = [...s.status.health].sort((a, b) => rank.indexOf(a.severity) - rank.indexOf(b.severity));
    wanted.hidden = conditions.length === 0;
    const before = known; // what is open, or has the focus, stays as long as it has not changed
    known = new Map(conditions.map(c => JSON.stringify(c)).map((key, i) => [key, before.get(key) ?? condition(conditions[i], s.now)]));
    for (const [key, el] of before) if (!known.has(key)) el.remove();
    [...known.values()].forEach((el, i) => { if (wants.children[i] !== el) wants.insertBefore(el, wants.children[i] ?? null); });
    wants.querySelectorAll(".since").forEach((p, i) => { p.textContent = since(conditions[i], s.now); });
    for (const a of s.status.accounts) {
      let c = cards.get(a.name);
      if (!c) {
        cards.set(a.name, c = card(a.name));
        list.append(c.el);
      }
      c.update(a, s);
    }
    for (const [name, c] of cards) {
      if (!s.status.accounts.some(a => a.name === name)) {
        c.el.remove();
        cards.delete(name);
      }
    }
    all.hidden = cards.size < 2;
    waiting.hidden = s.status.smtp.length === 0;
    more.className = cards.size === 0 ? "button primary" : "button"; // without an account it is the one thing to do
    title.hidden = past.hidden = cards.size === 0;
  }
  update(s);
  return update;
}

const fewest = 2; // days from which on there is something to compare

/** Mail per day, and the room that it takes: of the last 90 days, on those before the first one there was none. */
function history() {
  const el = h("section", {});
  days().then(list => {
    el.setAttribute("aria-labelledby", "history");
    el.append(h("h2", { id: "history" }, t("home.history")));
    if (list.length < fewest) {
      el.append(h("p", { class: "dim" }, t("home.history.later")));
    } else {
      const from = new Date(list[0].day + "T12:00:00");
      const before = Array.from({ length: Math.max(0, 90 - list.length) }, (_, i) => ({ at: new Date(from.getTime() - (90 - list.length - i) * 86400e3), messages: 0, bytes: 0 }));
      const points = [...before, ...list.map(d => ({ ...d, at: new Date(d.day + "T12:00:00") }))].map(d => ({ ...d, label: day(d.at) }));
      el.append(h("div", { class: "plots" },
        plot(t("plot.mail"), points.map(d => ({ label: d.label, value: d.messages })), number), plot(t("plot.size"), points.map(d => ({ label: d.label, value: d.bytes })), size)));
    }
    performance.mark("complete"); // how long it takes is measured by test/bench
  }, e => el.append(failed(e)));
  return el;
}
