// What a condition means for a person, and the one thing to do about it.
import { h } from "./dom.js";
import { t, has, ago } from "./text.js";
import { ask, work } from "./api.js";
import { action, icon } from "./parts.js";
import { outside } from "./form.js";

/** @typedef {import("./types").Condition} Condition */

/** The account that a condition is about, "" for none. @param {Condition} c */
export const accountOf = c => /^(?:sending of )?account (.*)$/.exec(c.source ?? "")?.[1] ?? "";

const at = (/** @type {string} */ page, /** @type {Condition} */ c, /** @type {string} */ part = "") =>
  "#/" + page + (page === "account" ? "/" + encodeURIComponent(accountOf(c)) + part : "");

/** Where the button of a condition leads; "sync" polls. A code that is not here leads to the log. */
const leads = /** @type {Record<string, string>} */ ({
  "account-auth": "/password", "signin-needed": "/password", "account-config": "/settings", "account-pop-off": "/settings", "account-app-password": "/password", "account-web-login": "/settings", "account-tls": "/password", "account-old-tls": "/settings", "password-exposed": "/settings",
  "account-unreachable": "sync", "account-protocol": "sync", "account-failed": "sync", "account-messages": "sync", "deletes-refused": "sync",
  "deletes-unconfirmed": "/deletions", "messages-incomplete": "/deletions", "store-new": "/deletions", "store-put-back": "/deletions", "account-user-changed": "/deletions",
  "user-without-account": "add", "login-refused": "devices", "lan-address-banned": "devices", "lan-login-refused": "devices", "lan-device-refused": "devices",
  "lan-new-device": "devices", "lan-connection-refused": "settings", "lan-failed": "settings", "lan-address-missing": "settings", "lan-network-public": "settings",
  "store-full": "storage", "store-unwritable": "storage", "store-failed": "storage", "store-missing": "storage", "store-corrupt": "storage", "messages-damaged": "storage",
  "state-failed": "storage", "data-exposed": "about", "imap-port-busy": "settings", "imap-failed": "settings", "imap-crowded": "devices", "local-tls": "settings",
  "config-invalid": "settings", "config-unwatched": "settings", "restart-needed": "settings", "control-failed": "log", "web-failed": "settings",
  "smtp-port-busy": "settings", "smtp-failed": "settings", "send-auth": "/login-to-send", "send-failed": "outbox", "sent-unknown": "outbox", "sent-refused": "outbox", "send-stuck": "outbox", "send-no-account": "outbox", "send-held": "outbox", "web-address-used-twice": "about",
});

/**
 * A button that polls; that an account could not be polled is its error, for which the page shows the reason.
 * @param {string} text
 * @param {string[]} [accounts] none: all
 * @param {Parameters<typeof action>[2]} [o]
 */
export const poll = (text, accounts, o) => action(text, async () => {
  /** @type {import("./types").SyncResult[]} */
  const results = (await work("/sync", accounts ? { accounts } : {}, () => {})).filter(r => !accounts || accounts.includes(r.account));
  const bad = results.filter(r => r.error);
  if (bad.length > 0) throw new Error(t("poll.failed", { accounts: bad.map(r => r.account).join(", ") })); // why, the page says once
  return t("poll.done", { n: results.reduce((n, r) => n + r.new, 0) });
}, o);

/** @param {Condition} c @param {Date} now */
export const since = (c, now) => t("since", { ago: ago(c.since, now) });

/** Whether the button of a condition leads to this page. @param {Condition} c @param {string} page */
export const belongs = (c, page) => leads[c.code] === page;

/** @param {Condition} c @param {Date} now @param {boolean} [here] it is shown where its button leads, so that it has none */
export function condition(c, now, here = false) {
  const account = accountOf(c);
  const id = "health." + c.code;
  const to = leads[c.code] ?? "log";
  const button = to === "sync"
    ? poll(t("poll.again"), [account], { primary: true })
    : c.link ? outside(c.link, t(id + ".link"), "button primary")
    : h("a", { class: "button primary", href: to.startsWith("/") ? at("account", c, to) : at(to, c) }, t(has(id + ".do") ? id + ".do" : "do." + (to.startsWith("/") ? "account" : to)));
  return h("li", { class: "condition " + c.severity, "data-key": c.code + " " + (c.source ?? "") },
    icon(c.severity),
    h("div", {},
      h("p", {}, h("strong", {}, t("severity." + c.severity)), " ", has(id) ? t(id, { account, user: c.user ?? "" }) : h("span", { lang: "en" }, c.text)),
      here && has(id + ".then") && h("p", {}, t(id + ".then")),
      h("p", { class: "dim since" }, since(c, now)),
      h("details", {}, h("summary", {}, t("details")), h("p", { lang: "en" }, c.text), c.hint && h("p", {}, t("terminal"), " ", h("span", { lang: "en" }, c.hint)), h("p", { class: "dim" }, h("code", {}, c.code)))),
    here ? null : button);
}

/** Allows the deletions that a person has seen. @param {string} account @param {string} seen the digest of that preview @param {boolean} [incomplete] those of what may not be whole, and no others */
export const confirmDeletions = (account, seen, incomplete = false) => ask("POST", "/confirm", { account, seen, incomplete });
