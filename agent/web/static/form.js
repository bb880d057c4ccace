// Forms that a person fills in, and what an account is to be told about.
import { h, replace } from "./dom.js";
import { t, has, language, size } from "./text.js";
import { Fault } from "./api.js";
import { confirm, copied, failed, icon } from "./parts.js";

/** @typedef {ReturnType<typeof import("./parts.js").field>} Field */

/**
 * A form that Enter sends. It cannot be sent twice at a time; what work returns, or how it
 * failed, is shown below it.
 * @param {import("./dom.js").Child} content
 * @param {string} yes
 * @param {() => Promise<import("./dom.js").Child | void>} work
 * @param {import("./dom.js").Child} [more] buttons beside
 */
export function form(content, yes, work, more) {
  const outcome = h("div", { class: "outcome", role: "status" });
  const b = h("button", { type: "submit", class: "primary" }, yes);
  return h("form", { novalidate: true, submit: async (/** @type {Event} */ e) => {
    e.preventDefault();
    if (b.getAttribute("aria-disabled") === "true") return;
    b.setAttribute("aria-disabled", "true");
    replace(outcome, h("progress", { "aria-label": yes }));
    try {
      replace(outcome, await work() ?? null);
    } catch (e) {
      replace(outcome, failed(e));
    } finally {
      b.removeAttribute("aria-disabled");
    }
  } }, content, h("div", { class: "buttons" }, b, more), outcome);
}

/**
 * Says what is wrong at its field; what has no field is an error of all. True: nothing is.
 * @param {Record<string, Field>} fields by the key of the config
 * @param {import("./types").Wrong[]} wrong
 * @param {string} [lang] the agent says it in English
 */
export function right(fields, wrong, lang = "en") {
  for (const f of Object.values(fields)) f.wrong("");
  const stray = wrong.find(w => !fields[w.key]);
  if (stray) throw new Fault({ kind: "config", text: stray.key + ": " + stray.text, hint: stray.hint }, 422);
  for (const [key, f] of Object.entries(fields).reverse()) { // the first one has the focus in the end
    const w = wrong.find(w => w.key === key);
    if (!w) continue;
    f.input.closest("details")?.setAttribute("open", "");
    f.wrong([w.text, w.hint].filter(Boolean).join(" – "), lang, lang === "en" ? before(key) : "");
  }
  return wrong.length === 0;
}

/** A sentence of the page in front of what the agent says of a value. @param {string} key */
const before = key => has("wrong." + key) ? t("wrong." + key) : language === "en" ? "" : t("wrong");

/** A link that leaves the page; others than web addresses are text. @param {string} url @param {string} [text] @param {string} [kind] its class */
export const outside = (url, text, kind) => /^https?:\/\//.test(url) ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer", class: kind }, text ?? new URL(url).host) : url;

/** What a provider asks for. @param {import("./types").Advice} a */
export function advice(a) {
  if (a.needs.length === 0 && !a.note && a.help_urls.length === 0 && a.min_interval === 0) return null;
  return h("div", { class: "box" }, h("h2", {}, t("advice.title", { provider: a.provider })),
    h("ul", {},
      a.needs.map(one => h("li", {}, one.map((need, i) => [i > 0 && t("advice.or"), t("advice." + need),
        need === "enable-pop" && a.enable_url ? [" ", outside(a.enable_url)] : null]))),
      a.min_interval > 0 && h("li", {}, t("advice.interval", { n: a.min_interval / 60 })),
      a.note && h("li", { lang: "en" }, a.note),
      a.help_urls.map(u => h("li", {}, t("advice.help"), " ", outside(u)))));
}

/** @param {string} tls */
export const security = tls => t("tls." + tls);
export const securities = () => ({ implicit: security("implicit"), starttls: security("starttls"), none: security("none") });

/** @param {string} typed */
export const isPort = typed => /^\d{1,5}$/.test(typed) && +typed >= 1 && +typed <= 65535;

/** @param {string} host */
const isHere = host => /^(localhost|127(\.\d+){3}|\[?::1\]?)$/.test(host);

/** Asks before a password goes to another computer in the clear. @param {string} host @param {string} tls */
export const mayConnect = async (host, tls) => tls !== "none" || isHere(host)
  || confirm(t("add.clear.title"), h("p", {}, t("add.doubt.clear", { host })), { yes: t("add.clear.yes"), danger: true });

/** A server whose certificate is refused, and the command that takes its key all the same. @param {import("./types").Tried} r */
const untrusted = r => h("div", { class: "failed", role: "alert" }, icon("error"), h("div", {}, h("p", {}, t("tried.untrusted")), h("p", {}, t("tried.pin")),
  h("dl", { class: "values" }, copied(t("tried.command"), r.command)),
  h("details", {}, h("summary", {}, t("details")), h("p", { lang: "en" }, r.error), h("p", { class: "dim", lang: "en" }, r.hint))));

/** What a login at a server found, or why there was none. @param {import("./types").Tried} r */
export function tried(r) {
  const line = (/** @type {boolean} */ ok, /** @type {string} */ text) => h("li", {}, icon(ok ? "ok" : "error"), " ", text);
  if (r.command) return untrusted(r);
  if (r.error) return [failed(new Fault({ kind: r.kind, text: r.error, hint: r.hint }, 422), r.refused ? t("tried.refused") : ""), advice(r.advice)];
  return h("ul", { class: "tried" },
    line(true, t("tried.connected", { server: r.server })),
    !r.tls && isHere(r.server.replace(/:\d+$/, "")) ? h("li", {}, icon("info"), " ", t("tried.here"))
      : line(r.tls !== "", r.tls ? t("tried.tls", { certificate: r.certificate, tls: r.tls }) : t("tried.clear")),
    line(true, t("tried.login", { username: r.username })),
    line(true, t("tried.mail", { n: r.messages, size: size(r.bytes) })),
    r.sending && (r.sending.error ? line(false, t("tried.sending.failed", { error: r.sending.error, hint: r.sending.hint }))
      : line(true, t("tried.sending", { server: r.sending.server }))),
    r.warnings.map(w => h("li", { class: "dim", lang: "en" }, w)));
}

/** The rules of what stays at the provider; those with a number have it in place of N. */
export const rules = /** @type {Record<string, (n: string) => string>} */ ({
  forever: () => "forever", days: n => n + "d", newest: n => "newest " + n, below: n => "below " + n + "%", never: () => "never",
});

/** The rule and the number of a keep_on_server. @param {string} keep @returns {[string, string]} */
export function ruleOf(keep) {
  const n = /\d+/.exec(keep)?.[0] ?? "";
  return [keep.endsWith("d") ? "days" : keep.startsWith("newest") ? "newest" : keep.startsWith("below") ? "below" : keep, n];
}

/** The most that the number of a rule can be. */
const most = /** @type {Record<string, number>} */ ({ days: 36500, newest: 100000000, below: 99 });

/** What is wrong with the number of a rule, "" for nothing. @param {string} rule @param {string} n */
export const wrongCount = (rule, n) => !most[rule] || /^\d{1,9}$/.test(n) && +n >= 1 && +n <= most[rule] ? "" : t("keep." + rule + ".wrong");

/** What a rule does, in a sentence. @param {string} rule @param {string} n */
export const ruleText = (rule, n) => wrongCount(rule, n) ? t("keep.number") : t("keep." + rule, { n: Number(n) });
