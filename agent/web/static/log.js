// The log as it is written: what happened in words, all else on demand.
import { h, add, replace } from "./dom.js";
import { t, when } from "./text.js";
import { ask, isSignedOut, log as records, Away } from "./api.js";
import { icon, action, download, failed, field } from "./parts.js";

/** @typedef {import("./types").Entry} Entry */

const most = 4000; // rows of the page; the oldest go
const ranks = ["trace", "debug", "info", "warn", "error"];
const asked = "asked for by the web page"; // of each change, most of which say themselves what they did: a detail
const looks = /** @type {Record<string, string>} */ ({ error: "error", warn: "warning" });

/** @param {string} level */
const rank = level => level === "fatal" || level === "panic" ? 4 : Math.max(0, ranks.indexOf(level));

/** A record as a line of text. @param {Entry} e */
const line = e => [e.time, e.level.toUpperCase().padEnd(5), e.text, e.hint && "hint: " + e.hint, ...Object.entries(e.fields).map(([k, v]) => k + "=" + v)].filter(Boolean).join(" ").replace(/\s*\n\s*/g, " ");

/** @param {Entry} e */
function row(e) {
  const more = h("div", { class: "more" });
  const d = h("details", { toggle: () => {
    if (!d.open || more.hasChildNodes()) return;
    if (e.hint) more.append(h("p", { lang: "en" }, e.hint));
    more.append(h("dl", { class: "facts" }, [["time", e.time], ["level", e.level], ...Object.entries(e.fields)].map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])));
  } }, h("summary", {},
    h("time", { datetime: e.time, title: e.time }, clock(e.time)),
    icon(looks[e.level] ?? "none"), looks[e.level] ? h("span", { class: "visually-hidden" }, t("log.level." + e.level) + ": ") : null,
    h("span", { class: "what", lang: "en" }, e.text, e.level !== "info" && e.detail && h("span", { class: "dim" }, " ", e.detail)), e.account && h("span", { class: "dim" }, e.account)), more);
  return h("li", { class: e.level }, d);
}

/** @param {string} at */
const clock = at => when(at, new Date()).replace(/\d+:\d+/, m => m + ":" + at.slice(17, 19));

/** @type {import("./main").Page} */
export default function log(el, _, s) {
  const list = h("ol", {}), scroller = h("div", { class: "log box", role: "region", tabindex: 0, "aria-label": t("nav.log") }, list);
  const again = h("button", { type: "button", class: "primary", click: () => follow(true) }, t("log.again"));
  const trouble = h("div", {}), count = h("p", { class: "dim" }), empty = h("p", { class: "dim", hidden: true });
  add(scroller, [empty]);
  const accounts = /** @type {Record<string, string>} */ ({ "": t("log.all"), ...Object.fromEntries(s.status.accounts.map(a => [a.name, a.name])) });
  const account = field(t("log.account"), { options: accounts, value: "", change: () => refilter() });
  const level = field(t("log.level"), { options: { error: t("log.from.error"), warn: t("log.from.warn"), info: t("log.from.info"), trace: t("log.from.all") }, value: "info", change: () => refilter() });
  /** @type {{e: Entry, el: HTMLLIElement}[]} */
  const rows = [];
  /** @type {Entry[]} */
  let waiting = [];
  let following = true, last = 0, missed = 0, shown = 0, asking = true; // the first records are on their way
  /** @type {AbortController | null} */
  let open = null;
  let ended = false;

  el.append(h("h1", {}, t("nav.log")), h("p", { class: "dim" }, t("log.intro"), " ", t("terminal"), " ", h("code", {}, "popbridge logs")),
    h("div", { class: "filters" }, account.box, level.box), trouble, scroller,
    h("div", { class: "buttons following" }, count, again),
    h("section", { "aria-labelledby": "keep" }, h("h2", { id: "keep" }, t("log.keep")),
      h("p", {}, t("log.text.help")), h("p", {}, action(t("log.text"), async () => {
        download("popbridge.log", rows.filter(r => !r.el.hidden).map(r => line(r.e) + "\n").join(""), "text/plain");
        return t("log.saved");
      })),
      h("p", {}, t("log.report.help")), h("p", {}, action(t("log.report"), async () => {
        const { name, zip } = await ask("GET", "/report");
        download(name, Uint8Array.from(atob(zip), c => c.charCodeAt(0)), "application/zip");
        return t("log.saved");
      }))));

  /** @param {Entry} e */
  const wanted = e => (e.text === asked ? 0 : rank(e.level)) >= rank(level.input.value) && (!account.input.value || e.account === account.input.value);

  function refilter() {
    shown = 0;
    for (const r of rows) if (!(r.el.hidden = !wanted(r.e))) shown++;
    follow(true);
  }

  /** @param {boolean} on */
  function follow(on) {
    following = on;
    if (on) {
      missed = 0;
      scroller.scrollTop = scroller.scrollHeight;
    }
    const focused = document.activeElement === again;
    again.hidden = on;
    if (on && focused) scroller.focus();
    again.textContent = missed ? t("log.again.n", { n: missed }) : t("log.again");
    empty.hidden = shown > 0 || asking;
    const none = t(rows.length > 0 ? "log.none.like" : "log.none");
    if (empty.textContent !== none) replace(empty, none);
    replace(count, shown > 0 && [t("log.shown", { shown, n: rows.length }), on && " " + t("log.following")]);
  }
  scroller.addEventListener("scroll", () => {
    const end = scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 8;
    if (end !== following) follow(end);
  });

  function flush() {
    asking = false;
    const made = waiting.map(e => ({ e, el: row(e) }));
    waiting = [];
    for (const r of made) {
      if (r.e.account && !(r.e.account in accounts)) {
        accounts[r.e.account] = r.e.account;
        account.input.append(h("option", { value: r.e.account }, r.e.account));
      }
      r.el.hidden = !wanted(r.e);
      if (!r.el.hidden) shown++;
      if (!r.el.hidden && !following) missed++;
    }
    rows.push(...made);
    add(list, made.map(r => r.el));
    for (const r of rows.splice(0, Math.max(0, rows.length - most))) {
      if (!r.el.hidden) shown--;
      r.el.remove();
    }
    follow(following);
  }

  /** Reads the log as long as the page is looked at. */
  async function read() {
    while (!ended) {
      if (document.hidden) await new Promise(done => document.addEventListener("visibilitychange", done, { once: true }));
      open = new AbortController();
      try {
        for await (const e of records(last, open.signal)) {
          replace(trouble);
          last = e.seq;
          if (waiting.push(e) === 1) setTimeout(flush);
        }
      } catch (e) {
        if (isSignedOut(e)) return;
        if (ended || document.hidden) continue;
        if (!(e instanceof Away)) replace(trouble, failed(e)); // without an agent the bar on top says it
      }
      if (!ended && !document.hidden) await new Promise(done => setTimeout(done, 1000));
    }
  }
  const hidden = () => document.hidden && open?.abort();
  document.addEventListener("visibilitychange", hidden);
  const wide = new ResizeObserver(() => following && (scroller.scrollTop = scroller.scrollHeight));
  wide.observe(scroller);
  follow(true);
  read();
  const timer = setTimeout(flush, 1000); // where there is no record none is sent
  return s => {
    if (s) return;
    ended = true;
    clearTimeout(timer);
    wide.disconnect();
    document.removeEventListener("visibilitychange", hidden);
    open?.abort();
  };
}
