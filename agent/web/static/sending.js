// By which server an account sends, and from which addresses.
import { h, replace } from "./dom.js";
import { t, language } from "./text.js";
import { ask, work, Fault } from "./api.js";
import { action, confirm, failed, field, icon, say } from "./parts.js";
import { form, isPort, mayConnect, right, securities, security } from "./form.js";

/** @typedef {import("./types").AccountDetails} Details */

/** The addresses of an account, its own first. @param {Details} d @returns {string[]} */
const addressesOf = d => [d.settings.address, ...JSON.parse(d.settings.addresses || "[]")].filter(Boolean);

/** @param {HTMLElement} el @param {Details} d */
export function sending(el, d) {
  const state = h("p", { class: "verdict" }), shared = h("ul", {});
  const tell = () => {
    const s = d.sending, by = s.server.host ? s.server : s.found;
    const why = s.off ? "off" : !by.host ? "unknown" : addressesOf(d).length === 0 ? "noaddress" : "";
    replace(state, icon(why ? "info" : "ok"), " ", why ? t("sending.not." + why)
      : t(s.server.host ? "sending.set" : "sending.found", { server: by.host + ":" + by.port, tls: security(by.tls), username: by.username }));
    replace(shared, s.shared.map(x => h("li", {}, icon("warning"), " ", t("sending.shared", { address: x.address, account: x.account }))));
    shared.hidden = s.shared.length === 0;
  };
  const again = async () => {
    d = await ask("POST", "/accounts/details", { account: d.account });
    tell();
  };
  tell();
  const typed = field(t("sending.addresses"), { value: addressesOf(d).join(", "), inputmode: "email" }, t("sending.addresses.help"));
  el.append(state, shared, addresses(() => d, again, typed), server(() => d, again, () => listOf(typed)[0]));
}

/** The addresses that are typed, each once. @param {import("./form.js").Field} typed */
const listOf = typed => typed.input.value.split(/[\s,;]+/).filter((a, i, list) => a && list.findIndex(b => b.toLowerCase() === a.toLowerCase()) === i);

/** @param {() => Details} now @param {() => Promise<void>} again @param {import("./form.js").Field} typed */
function addresses(now, again, typed) {
  return h("section", { "aria-labelledby": "addresses" }, h("h2", { id: "addresses" }, t("sending.addresses.title")), form(typed.box, t("account.save"), async () => {
    const [address = "", ...others] = listOf(typed);
    const settings = { address, addresses: others.length > 0 ? JSON.stringify(others) : "" };
    const { wrong } = await ask("PATCH", "/accounts", { account: now().account, settings });
    if (!right({ address: typed }, wrong.map((/** @type {import("./types").Wrong} */ w) => ({ ...w, key: "address" })))) return;
    await again();
    typed.input.value = addressesOf(now()).join(", ");
    say(t("account.saved"));
    return h("p", {}, icon("ok"), " ", t("account.saved"));
  }));
}

/** @param {() => Details} now @param {() => Promise<void>} again @param {() => string | undefined} address the first that is typed, saved or not */
function server(now, again, address) {
  const d = now(), s = d.sending, title = h("h2", { id: "outgoing" }, t("sending.server"));
  if (s.password === "command") return h("section", { "aria-labelledby": "outgoing" }, title, h("p", {}, t("sending.command")));
  const alone = d.password === "signin" || d.password === "command"; // what it has for POP is not typed
  const at = s.server.host ? s.server : s.found;
  const by = field(t("sending.by"), { value: s.server.host || s.password ? "own" : "found", change: () => show(),
    options: { found: s.found.host ? t("sending.by.found", { server: s.found.host }) : t("sending.by.none"), own: t("sending.by.own") } }, t("sending.by.help"));
  const f = {
    host: field(t("add.host"), { value: at.host, inputmode: "url" }, t("sending.host.help")),
    tls: field(t("add.tls"), { options: securities(), value: at.tls || "implicit" }),
    port: field(t("add.port"), { value: at.port || "", inputmode: "numeric" }, t("add.port.help")),
    username: field(t("add.username"), { value: at.username || d.server.username, autocomplete: "username" }),
    own: field(t("sending.own"), { type: "checkbox", checked: alone || s.password !== "" }, t("sending.own.help")),
    password: field(t("add.secret"), { type: "password", autocomplete: "off" }, t(alone ? "sending.password.alone" : "sending.password.help")),
  };
  f.own.box.hidden = alone;
  const fields = h("div", {}, finder(() => address() ?? now().server.username, f), f.host.box, f.tls.box, f.port.box, f.username.box, f.own.box, f.password.box);
  const show = () => { fields.hidden = by.input.value !== "own"; };
  show();
  return h("section", { "aria-labelledby": "outgoing" }, title, form([by.box, fields], t("account.login.save"), async () => {
    const body = { account: d.account, own: alone || f.own.input.checked, password: "", server: { host: "", port: 0, tls: "", username: "" } };
    if (by.input.value === "own") {
      const host = f.host.input.value.trim(), tls = f.tls.input.value, port = f.port.input.value.trim() || (tls === "implicit" ? "465" : "587"), wrong = [];
      if (!host) wrong.push({ key: "host", text: t("add.host.wrong"), hint: "" });
      if (!isPort(port)) wrong.push({ key: "port", text: t("add.port.wrong"), hint: "" });
      if (!f.password.input.value) wrong.push({ key: "password", text: t("add.secret.wrong"), hint: "" });
      if (!right(f, wrong, language) || !await mayConnect(host, tls)) return;
      body.server = { host, tls, port: +port, username: f.username.input.value.trim() };
      body.password = f.password.input.value;
    }
    const r = await ask("POST", "/accounts/sending", body);
    if (!right(f, r.wrong.map((/** @type {import("./types").Wrong} */ w) => ({ ...w, key: w.key.replace(/^send\./, "") })))) return;
    if (r.error) {
      f.password.input.focus();
      return failed(new Fault({ kind: r.kind, text: r.server + ": " + r.error, hint: r.hint }, 422), r.refused ? t("tried.refused") : "");
    }
    f.password.input.value = "";
    await again();
    const text = t(r.server ? "sending.saved" : "account.saved", { server: r.server });
    say(text);
    return h("p", {}, icon("ok"), " ", text);
  }));
}

/** Looks for the outgoing server of an address, and fills it in. @param {() => string} of @param {Record<string, import("./form.js").Field>} f */
function finder(of, f) {
  const said = h("div", { role: "status" });
  return [h("div", { class: "field" }, action(t("add.find"), async () => {
    const address = of();
    replace(said, h("progress", { "aria-label": t("add.searching") }));
    try {
      const [found] = await work("/accounts/discover", { address, known: true }, () => {});
      const { smtp } = found, doubt = found.doubts.find((/** @type {import("./types").Doubt} */ x) => x.foreign && x.host === smtp.host);
      if (!smtp.host) throw new Error(t("sending.nothing", { address }));
      if (doubt && !await confirm(t("add.doubts"), h("p", {}, t("add.doubt.foreign", { host: doubt.host, domain: doubt.foreign })), { yes: t("sending.take") })) return;
      for (const key of /** @type {const} */ (["host", "tls", "port", "username"])) f[key].input.value = String(smtp[key] || f[key].input.value);
      return t("sending.filled", { server: smtp.host });
    } finally {
      replace(said);
    }
  })), said];
}
