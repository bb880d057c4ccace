// Signing in at the provider of an account: its page is opened beside this one, and what
// comes of it is shown as it goes on.
import { add, h, replace } from "./dom.js";
import { t, when } from "./text.js";
import { ask, Away, Fault } from "./api.js";
import { action, copied, failed, field, icon, say } from "./parts.js";
import { form, outside, right } from "./form.js";

/** @typedef {import("./types").SignIn} SignIn */

const pause = 1000; // milliseconds between two looks at what goes on

/**
 * Signs an account in. What it returns ends it with the page; the sign-in itself goes on.
 * @param {HTMLElement} el
 * @param {string} account
 * @param {{start?: boolean, again?: boolean, done?: () => void}} [o] start: at once, again: there was one before
 */
export function signin(el, account, o = {}) {
  const box = h("div", {});
  let told = "", over = false, timer = 0, going = false;
  el.append(box);

  const begin = (/** @type {boolean} */ device) => async () => {
    show(await ask("POST", "/signin", { account, device }));
    /** @type {HTMLElement | null} */ (box.querySelector("a"))?.focus();
  };

  /** @param {import("./dom.js").Child} [before] what came of the last one @param {boolean} [again] */
  function idle(before, again = o.again) {
    told = "";
    going = false;
    replace(box, before ?? h("p", {}, t("oauth.text")),
      h("div", { class: "buttons" }, action(t(again ? "oauth.again" : "oauth.begin"), begin(false), { primary: true }), action(t("oauth.device"), begin(true))));
  }

  const cancel = () => action(t("cancel"), async () => {
    await ask("POST", "/signin/cancel", { account });
    idle();
    say(t("oauth.cancelled"));
  });

  /** What of a sign-in a person goes through in the browser. @param {SignIn} s */
  function waiting(s) {
    const until = h("p", { class: "dim" }, t("oauth.until", { at: when(s.expires, new Date()) }));
    if (s.method === "device") {
      replace(box, h("p", {}, t("oauth.device.text")), h("dl", { class: "values" }, copied(t("oauth.device.code"), s.user_code)),
        h("div", { class: "buttons" }, outside(s.url, t("oauth.device.open"), "button primary"), cancel()), live(t("oauth.waiting")), until);
      return;
    }
    const final = field(t("oauth.paste"), { autocomplete: "off" }, t(s.paste ? "oauth.paste.only" : "oauth.paste.help"));
    replace(box, h("p", {}, t("oauth.open.text")),
      h("div", { class: "buttons" }, outside(s.url, t("oauth.open"), "button primary"), cancel()), live(t("oauth.waiting")), until,
      h("details", { open: s.paste }, h("summary", {}, t("oauth.elsewhere")), form(final.box, t("oauth.paste.do"), async () => {
        const text = final.input.value.trim();
        final.wrong(text ? "" : t("oauth.paste.wrong"));
        if (text) show(await ask("POST", "/signin/paste", { account, text }));
      })));
  }

  const live = (/** @type {string} */ text) => [h("p", { class: "outcome" }, h("progress", { "aria-label": text })), h("p", { class: "dim" }, text)];

  /** How the login at a server went. @param {string} kind @param {import("./types").Try} r */
  const tried = (kind, r) => r.state === "" || r.state === "none" ? null
    : h("li", {}, icon(r.state === "ok" ? "ok" : "error"), " ", t("oauth." + kind + (r.state === "ok" ? ".ok" : ".failed")),
      r.text && h("p", { lang: "en" }, r.text), r.hint && h("p", { class: "dim", lang: "en" }, r.hint));

  /** @param {SignIn} s */
  function show(s) {
    if (over) return;
    clearTimeout(timer);
    if (s.state === "waiting" || s.state === "trying") timer = window.setTimeout(look, pause);
    const now = JSON.stringify([s.state, s.url, s.pop, s.smtp]);
    if (now === told) return;
    told = now;
    const was = going, both = h("ul", { class: "tried" }, tried("pop", s.pop), tried("smtp", s.smtp));
    going = s.state === "waiting" || s.state === "trying";
    if (s.state === "waiting") return waiting(s);
    if (s.state === "trying") return replace(box, live(t("oauth.trying")), both);
    if (!was) return idle(); // how a former one ended says nothing about today
    const good = s.state === "done" && s.pop.state !== "failed" && s.smtp.state !== "failed";
    if (s.state === "failed") idle([h("p", { class: "verdict" }, icon("error"), " ", t("oauth.failed")), failed(new Fault({ text: s.error, hint: s.hint }, 422)), both], true);
    else idle([h("p", { class: "verdict" }, icon(good ? "ok" : "warning"), " ", t(good ? "oauth.done" : "oauth.partly")), both], true);
    say(t(s.state === "failed" ? "oauth.failed" : good ? "oauth.done" : "oauth.partly"));
    if (s.state === "done") o.done?.();
  }

  async function look() {
    try {
      const s = await ask("GET", "/signin" + "?account=" + encodeURIComponent(account));
      if (!s.state && going) return lost();
      show(s);
    } catch (e) {
      if (over) return;
      if (e instanceof Away) timer = window.setTimeout(look, pause); // the line above says so
      else if (/** @type {any} */ (e).kind !== "not found") replace(box, failed(e));
      else if (going) lost();
      else idle();
    }
  }

  /** The agent was started anew meanwhile. */
  function lost() {
    idle(failed(new Error(t("oauth.lost"))), true);
    say(t("oauth.lost"));
  }

  idle();
  if (o.start) begin(false)().catch(e => idle(failed(e)));
  else look();
  return () => { over = true; clearTimeout(timer); };
}

/**
 * Goes on with the client id by which popbridge asks a provider: there is one, or it is entered.
 * @param {HTMLElement} el
 * @param {{oauth: string, token_provider: string}} f
 * @param {string} what will happen
 * @param {string} yes
 * @param {() => Promise<void>} go
 * @param {HTMLElement} back
 */
export async function clientForm(el, f, what, yes, go, back) {
  const provider = f.token_provider, microsoft = provider.startsWith("microsoft");
  const id = field(t("add.client.id"), { "data-first": true }, t("add.client.id.help"));
  const secret = field(t("add.client.secret"), { type: "password", autocomplete: "off" }, t("add.client.secret.help"));
  const tenant = field(t("add.client.tenant"), {}, t("add.client.tenant.help"));
  const guide = f.oauth ? "" : (await ask("GET", "/about")).docs.replace("/tree/", "/blob/") + "/oauth.md";
  add(el, [f.oauth ? h("p", {}, t("add.client.there", { name: f.oauth }))
    : [h("p", {}, t("add.client.text")), h("p", {}, t(microsoft ? "add.client.microsoft" : provider === "google" ? "add.client.google" : "add.client.other")),
      h("p", {}, t("add.client.guide"), " ", outside(guide, "oauth.md")), !microsoft && h("p", {}, t("add.client.password"))],
  form([!f.oauth && [id.box, microsoft ? tenant.box : secret.box], h("p", { class: "dim" }, t(what))], t(yes), async () => {
    if (!f.oauth) {
      const made = await ask("POST", "/accounts/client", { provider, client_id: id.input.value.trim(), client_secret: secret.input.value.trim(), tenant: tenant.input.value.trim() });
      if (!right({ client_id: id, client_secret: secret, tenant }, made.wrong)) return;
      f.oauth = made.name;
      secret.input.value = "";
    }
    await go();
  }, back)]);
}
