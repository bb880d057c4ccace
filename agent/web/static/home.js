// Does my mail flow, what is it doing, what does it want from me?
import { h, replace } from "./dom.js";
import { t, dates, number, size, when, ago, span } from "./text.js";
import { history as days } from "./api.js";
import { icon, failed, plot } from "./parts.js";
import { condition, poll } from "./health.js";

/** @typedef {import("./main").State} State */

/** How it is, in one sentence. @param {State} s */
export function verdict(s) {
  const { accounts, health } = s.status;
  const worst = ["error", "warning"].find(severity => health.some(c => c.severity === severity));
  const newest = accounts.map(a => a.last_success ?? "").sort().pop() ?? "";
  if (accounts.length === 0) return { severity: "info", text: t("verdict.none") };
  if (worst === "error") {
    const n = health.filter(c => c.severity === "error").length, asked = accounts.filter(a => a.state !== "paused"), flowing = asked.filter(a => !a.last_error).length;
    const stopped = flowing === 0 && asked.length > 0 || health.some(c => /^store-(full|unwritable|failed|missing)$/.test(c.code));
    return { severity: "error", text: t(stopped ? "verdict.stopped" : "verdict.error", { n, flowing, all: asked.length }) };
  }
  const busy = accounts.filter(a => a.state === "polling").length;
  if (worst) return { severity: "warning", text: t("verdict.warning", { n: health.filter(c => c.severity === "warning").length }) };
  if (accounts.every(a => a.state === "paused")) return { severity: "info", text: t("verdict.paused") };
  if (busy > 0) return { severity: "ok", text: t("verdict.busy", { n: busy }) };
  if (accounts.some(a => !a.last_success && a.state !== "paused")) return { severity: "info", text: t("verdict.first") };
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
  const el = h("li", { class: "card" },
    h("h3", {}, h("a", { href: "#/account/" + encodeURIComponent(name) }, name)), state, live, facts, now);
  const update = (/** @type {import("./types").Account} */ a, /** @type {State} */ s) => {
    replace(state, icon(look(a)), " ", t("state." + (a.last_error && a.state !== "polling" && a.state !== "paused" ? "trouble" : a.last_success || a.state !== "idle" ? a.state : "new")));
    replace(live, progress(a, s), a.last_error && a.state !== "polling" ? h("p", { class: "error", lang: "en" }, a.last_error) : null);
    replace(facts,
      h("dt", {}, t("account.last")), h("dd", { title: when(a.last_success, s.now) }, a.last_success ? ago(a.last_success, s.now) : t("never")),
      h("dt", {}, t("account.next")), h("dd", { title: when(a.next_poll, s.now) }, a.next_poll ? ago(a.next_poll, s.now) : t("account.none")),
      h("dt", {}, t("account.stored")), h("dd", {}, number(a.stored)),
      h("dt", {}, t("account.server")), h("dd", {}, number(a.on_server)));
    now.hidden = a.state === "paused";
  };
  return { el, update };
}

/** @type {import("./main").Page} */
export default function home(el, _, s) {
  const line = h("p", { class: "verdict" }), wants = h("ul", { class: "conditions" }), none = h("p", {});
  const wanted = h("section", { "aria-labelledby": "wants" }, h("h2", { id: "wants" }, t("home.wants")), wants);
  const list = h("ul", { class: "cards" });
  /** @type {Map<string, ReturnType<typeof card>>} */
  const cards = new Map();
  let told = "", shownHealth = "";
  const all = poll(t("poll.all")), past = history();
  el.append(h("h1", {}, t("nav.home")), line, wanted,
    h("section", { "aria-labelledby": "accounts" }, h("h2", { id: "accounts" }, t("home.accounts")), none, list,
      h("p", { class: "buttons" }, all, h("a", { class: "button", href: "#/add" }, t("home.add")))),
    past);

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
    const now = JSON.stringify(conditions);
    if (now !== shownHealth) { // what is open, or has the focus, stays as long as nothing has changed
      shownHealth = now;
      replace(wants, conditions.map(c => condition(c, s.now)));
    }
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
    replace(none, cards.size === 0 ? t("home.none") : null);
    all.hidden = cards.size < 2;
  }
  update(s);
  return update;
}

/** Mail per day, and the room that it takes. */
function history() {
  const el = h("section", { "aria-labelledby": "history" }, h("h2", { id: "history" }, t("home.history")));
  days().then(list => {
    const label = (/** @type {string} */ day) => dates({ day: "numeric", month: "short" }).format(new Date(day + "T12:00:00"));
    el.append(h("div", { class: "plots" }, plot(t("plot.mail"), list.map(d => ({ label: label(d.day), value: d.messages })), number),
      plot(t("plot.size"), list.map(d => ({ label: label(d.day), value: d.bytes })), size)));
    performance.mark("complete"); // how long it takes is measured by test/bench
  }, e => el.append(failed(e)));
  return el;
}
