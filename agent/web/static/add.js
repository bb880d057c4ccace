// A new account, step by step. Each step has its own address; what was typed is kept as
// long as the page is open, and nowhere else.
import { h, replace } from "./dom.js";
import { t, size, language } from "./text.js";
import { ask, work } from "./api.js";
import { copied, failed, field, icon, say, shownOnce } from "./parts.js";
import { advice, form, isPort, mayConnect, right, rules, ruleText, wrongCount, securities, security, tried } from "./form.js";
import { clientForm, signin } from "./signin.js";

/** @typedef {import("./types").MailServer} MailServer */
/** @typedef {{address: string, byHand: boolean, found: import("./types").Discovered | null, server: MailServer | null, smtp: MailServer | null,
 *   password: string, tried: import("./types").Tried | null, keep: string,
 *   added: import("./types").AddedAccount | null, device: import("./types").FirstDevice | null, failed: any}} Draft */

/** A server that is not known. */
const nowhere = { host: "", port: 0, tls: "", username: "" };

/** @returns {Draft} */
const fresh = () => ({ address: "", byHand: false, found: null, server: null, smtp: null, password: "", tried: null, keep: "forever", added: null, device: null, failed: null });
let draft = fresh();

const go = (/** @type {string} */ step) => { location.hash = "#/add" + (step && "/" + step); };
const back = (/** @type {string} */ step) => h("a", { class: "button", href: "#/add" + (step && "/" + step) }, t("add.back"));

/** @param {HTMLElement} el @param {number} n @param {string} title */
function head(el, n, title) {
  el.append(h("h1", {}, t(title)), h("p", { class: "dim" }, t("add.step", { n: String(n), of: "3" })));
}

const steps = /** @type {Record<string, {may: () => unknown, show: import("./main").Page}>} */ ({
  server: { may: () => draft.address, show: server },
  keep: { may: () => draft.tried && !draft.tried.error, show: keep },
  client: { may: () => draft.found?.token_provider && draft.server && !draft.added, show: client },
  signin: { may: () => draft.added?.password === "signin", show: signIn },
  done: { may: () => draft.added, show: done },
});

/** @type {import("./main").Page} */
export default function add(el, args, now) {
  el.classList.add("narrow");
  const name = args[0] ?? "";
  if (!steps[name]) return address(el);
  if (steps[name].may()) return steps[name].show(el, args, now);
  location.replace(name === "done" ? "#/" : "#/add"); // of an earlier visit
}

/** @param {HTMLElement} el */
function address(el) {
  head(el, 1, "nav.add");
  const f = field(t("add.address"), { "data-first": true, type: "email", value: draft.address, autocomplete: "email" }, t("add.address.help"));
  const take = (/** @type {boolean} */ byHand) => {
    const typed = f.input.value.trim();
    const wrong = (byHand ? /^[^@\s]+@[^@\s]+$/ : /^[^@\s]+@[^@\s]+\.[^@\s]+$/).test(typed) ? "" : t("add.address.wrong");
    f.wrong(wrong);
    if (wrong) return;
    if (typed !== draft.address || byHand !== draft.byHand) draft = { ...fresh(), address: typed, byHand };
    go("server");
  };
  el.append(h("p", {}, t("add.intro")), form(f.box, t("add.find"), async () => take(false),
    h("button", { type: "button", click: () => take(true) }, t("add.byhand"))));
}

/** @type {import("./main").Page} */
function server(el) {
  head(el, 2, "add.server");
  if (draft.byHand) return byHand(el);
  const list = h("ol", { class: "steps", "aria-live": "polite" }), result = h("div", {}), stop = new AbortController();
  el.append(h("p", {}, t("add.for", { address: draft.address })), list, result);
  if (draft.found) {
    found(result, draft.found);
    return;
  }
  /** @type {Map<string, HTMLElement>} */
  const asked = new Map();
  replace(result, h("progress", { "aria-label": t("add.searching") }), h("p", { class: "buttons" }, handButton(), back("")));
  work("/accounts/discover", { address: draft.address }, p => {
    if (!p.asked) return;
    const item = asked.get(p.asked) ?? h("li", {});
    asked.set(p.asked, item);
    replace(item, t("step." + p.step), h("p", { class: "dim", lang: "en" }, p.asked, p.answer ? [": ", h("strong", {}, p.answer)] : " …"));
    list.append(item);
  }, stop.signal).then(([f]) => {
    draft.found = f;
    const at = document.activeElement, here = at === document.body || el.contains(at); // and not in the menu
    found(result, f);
    say(t("add.found"));
    if (here) /** @type {HTMLElement | null} */ (el.querySelector("[data-first]") ?? el.querySelector("h1"))?.focus();
  }, e => {
    if (stop.signal.aborted) return;
    replace(result, failed(e), h("div", { class: "buttons" },
      h("button", { type: "button", class: "primary", click: again }, t("account.again")), handButton(), back("")));
  });
  return state => { if (!state) stop.abort(); };
}

/** Shows this step once more. */
const again = () => { dispatchEvent(new HashChangeEvent("hashchange")); };

const handButton = () => h("button", { type: "button", click: () => { draft = { ...fresh(), address: draft.address, byHand: true }; again(); } }, t("add.byhand"));

/** @param {HTMLElement} el @param {import("./types").Discovered} f */
function found(el, f) {
  if (f.account) {
    replace(el, h("p", {}, t("add.known", { account: f.account })),
      h("div", { class: "buttons" }, h("a", { class: "button primary", href: "#/account/" + encodeURIComponent(f.account) }, t("do.account")), back("")));
    return;
  }
  // One box for what is doubtful in the same way, such as of the servers for mail that comes and goes.
  const doubts = [...new Set(f.doubts.map(d => d.foreign))].map(foreign => field(t(foreign ? "add.doubt.foreign" : "add.doubt.clear",
    { host: [...new Set(f.doubts.filter(d => d.foreign === foreign).map(d => d.host))].join(", "), domain: foreign }), { "data-first": true, type: "checkbox" }));
  const l = login(draft.server?.username ?? f.pop.username);
  replace(el,
    h("h2", {}, t("add.found")),
    h("dl", { class: "facts" }, f.provider && [h("dt", {}, t("add.provider")), h("dd", {}, f.provider)],
      h("dt", {}, t("add.host")), h("dd", {}, f.pop.host + ":" + f.pop.port), h("dt", {}, t("add.tls")), h("dd", {}, security(f.pop.tls)),
      f.oauth2_only && [h("dt", {}, t("add.username")), h("dd", {}, f.pop.username)]),
    advice(f.advice),
    form([doubts.length > 0 && h("fieldset", {}, h("legend", {}, t("add.doubts")), doubts.map(d => d.box)), f.oauth2_only ? h("p", {}, t("add.oauth2")) : l.boxes],
      t(f.oauth2_only ? "add.oauth2.go" : "add.test"), async () => {
        if (!agreed() || !f.oauth2_only && !right(l.fields, l.wrong(), language)) return;
        if (f.oauth2_only) return bySignIn();
        return l.test({ ...f.pop, username: l.fields.username.input.value.trim() || f.pop.username });
      }, [f.token_provider && !f.oauth2_only && h("button", { type: "button", click: () => agreed() && bySignIn() }, t("add.oauth2.instead")), handButton(), back("")]));
  /** Whether all that is doubtful was confirmed. */
  function agreed() {
    const open = doubts.filter(d => !d.input.checked);
    for (const d of doubts) d.wrong("");
    for (const d of open.reverse()) d.wrong(t("add.agree"));
    draft.smtp = f.smtp.host ? f.smtp : null;
    return open.length === 0;
  }
  function bySignIn() {
    draft.server = { ...f.pop, username: l.fields.username.input.value.trim() || f.pop.username };
    go("client");
  }
}

/** @param {HTMLElement} el */
async function client(el) {
  head(el, 2, "add.client");
  el.append(h("p", {}, t("add.for", { address: draft.address })));
  await clientForm(el, /** @type {import("./types").Discovered} */ (draft.found), "add.client.keep", "add.client.add", () => addIt({ oauth: true }, {}, "signin"), back("server"));
}

/** Writes the account, makes the first login of a mail program, and goes on. @param {any} more @param {Record<string, import("./form.js").Field>} fields @param {string} step */
async function addIt(more, fields, step) {
  const added = await ask("POST", "/accounts", { address: draft.address, server: draft.server, smtp: draft.smtp ?? nowhere, ...more });
  if (!right(fields, added.wrong)) return;
  draft.password = "";
  try {
    draft.device = await ask("POST", "/accounts/device", { user: added.user });
  } catch (e) {
    draft.failed = e;
  }
  draft.added = added;
  go(step);
}

/** @param {HTMLElement} el */
function signIn(el) {
  head(el, 3, "add.signin");
  const on = h("a", { class: "button", href: "#/add/done" }, t("add.signin.later"));
  const end = signin(el, draft.added?.account ?? "", { start: true, done: () => { on.textContent = t("add.signin.on"); on.classList.add("primary"); } });
  el.append(h("div", { class: "buttons" }, on));
  return (/** @type {import("./main").State | null} */ s) => { if (!s) end(); };
}

/** @param {HTMLElement} el */
function byHand(el) {
  const s = draft.server;
  const host = field(t("add.host"), { "data-first": true, value: s?.host ?? "", inputmode: "url" }, t("add.host.help"));
  const tls = field(t("add.tls"), { options: securities(), value: s?.tls ?? "implicit" });
  const port = field(t("add.port"), { value: s?.port ?? "", inputmode: "numeric" }, t("add.port.help"));
  const l = login(s?.username ?? draft.address), box = h("div", {});
  work("/accounts/discover", { address: draft.address, by_hand: true }, () => {}).then(([f]) => {
    const here = box.contains(document.activeElement);
    if (!f.account) return;
    found(box, f);
    say(box.innerText);
    if (here) el.querySelector("h1")?.focus();
  }, () => {}); // then the test says it
  replace(el.appendChild(box), h("p", {}, t("add.byhand.help")), form([host.box, tls.box, port.box, l.boxes], t("add.test"), async () => {
    const n = port.input.value.trim() || (tls.input.value === "implicit" ? "995" : "110");
    const wrong = [];
    if (!host.input.value.trim()) wrong.push({ key: "host", text: t("add.host.wrong"), hint: "" });
    if (!isPort(n)) wrong.push({ key: "port", text: t("add.port.wrong"), hint: "" });
    if (!right({ host, port, ...l.fields }, [...wrong, ...l.wrong()], language)) return;
    const typed = { host: host.input.value.trim(), port: +n, tls: tls.input.value, username: l.fields.username.input.value.trim() || draft.address };
    if (!await mayConnect(typed.host, typed.tls)) return;
    return l.test(typed, { host, port, tls });
  }, back("")));
}

/** The fields of a login, and what tries it: that goes on, or says why not. @param {string} name */
function login(name) {
  const username = field(t("add.username"), { value: name, autocomplete: "username" }, t("add.username.help"));
  const password = field(t("add.secret"), { "data-first": true, type: "password", value: draft.password, autocomplete: "off" }, t("add.secret.help"));
  const wrong = () => password.input.value ? [] : [{ key: "password", text: t("add.secret.wrong"), hint: "" }];
  /** @param {MailServer} to @param {Record<string, import("./form.js").Field>} [more] fields of the server */
  async function test(to, more) {
    draft = { ...draft, server: to, password: password.input.value, tried: null };
    const r = await ask("POST", "/accounts/try", { address: draft.address, server: to, smtp: draft.smtp ?? nowhere, other_username: draft.found?.other_username ?? "", password: draft.password });
    if (!right({ username, password, ...more }, r.wrong)) return;
    if (r.error) {
      password.input.focus();
      return tried(r);
    }
    draft.server = { ...to, username: r.username };
    if (draft.smtp && draft.smtp.username === draft.found?.pop.username) draft.smtp = { ...draft.smtp, username: r.username }; // the same is right there
    draft.tried = r;
    go("keep");
  }
  return { fields: { username, password }, boxes: [username.box, password.box, h("p", { class: "dim" }, t("add.nothing"))], wrong, test };
}

/** @type {import("./main").Page} */
function keep(el) {
  head(el, 3, "add.keep");
  const r = /** @type {import("./types").Tried} */ (draft.tried);
  const what = h("ul", {});
  let chosen = "forever";
  const counts = /** @type {Record<string, ReturnType<typeof field>>} */ ({
    days: field(t("keep.days.n"), { value: "30", inputmode: "numeric", input: () => told() }),
    newest: field(t("keep.newest.n"), { value: "500", inputmode: "numeric", input: () => told() }),
  });
  const n = (rule = chosen) => counts[rule]?.input.value.trim() ?? "";
  const choices = ["forever", "days", "newest", "never"].map(rule => {
    const id = "keep-" + rule, text = h("p", { class: "dim", id: id + "-text" });
    return { rule, text, box: h("div", { class: "choice" },
      h("input", { type: "radio", name: "keep", id, checked: rule === chosen, "aria-describedby": text.id, change: () => { chosen = rule; told(); } }),
      h("div", {}, h("label", { for: id }, t("keep." + rule + ".name")), text, counts[rule]?.box)) };
  });
  function told() {
    for (const [rule, c] of Object.entries(counts)) {
      c.box.hidden = rule !== chosen;
      c.wrong("");
    }
    for (const c of choices) replace(c.text, ruleText(c.rule, n(c.rule)));
    const goes = chosen === "never" ? r.messages : chosen === "newest" ? Math.max(0, r.messages - (+n() || 0)) : 0;
    replace(what,
      h("li", {}, t("add.will.fetch", { n: r.messages, size: size(r.bytes) })),
      h("li", {}, wrongCount(chosen, n()) ? t("add.will.number") : goes > 0 ? h("strong", {}, t("add.will.delete", { n: goes })) : t(chosen === "days" ? "add.will.later" : "add.will.nothing", { n: +n() || 0 })),
      goes > 0 && h("li", {}, t("add.will.only")),
      h("li", {}, t("add.will.password")));
  }
  told();
  el.append(h("div", {}, tried(r)), form([h("fieldset", {}, h("legend", {}, t("add.keep.legend")), choices.map(c => c.box)), h("div", { class: "box" }, h("h2", {}, t("add.will")), what)],
    t("add.add"), async () => {
      const keepOnServer = rules[chosen](n()), wrong = wrongCount(chosen, n());
      if (wrong) return counts[chosen].wrong(wrong);
      const fields = /** @type {Record<string, import("./form.js").Field>} */ (counts[chosen] ? { keep_on_server: counts[chosen] } : {});
      await addIt({ password: draft.password, keep: keepOnServer === "forever" ? "" : keepOnServer }, fields, "done");
    }, back("server")));
}

/** @type {import("./main").Page} */
function done(el) {
  const { added, device, smtp, address } = draft;
  el.append(h("h1", {}, t("add.done", { account: added?.account ?? "" })),
    h("p", {}, icon("ok"), " ", added?.password === "signin" ? null : [t("add.done.text"), " "], t("add.done." + added?.password)));
  if (draft.failed) el.append(failed(draft.failed));
  const values = (/** @type {MailServer} */ s, /** @type {string} */ secret, /** @type {string} */ kind) => h("dl", { class: "values" },
    copied(t("add.value.server", { kind }), s.host), copied(t("add.value.port", { kind }), String(s.port)),
    h("dt", {}, t("add.tls")), h("dd", {}, security(s.tls)),
    copied(t("add.value.user", { kind }), s.username), secret && copied(t("add.value.password", { kind }), secret));
  if (device?.password) {
    el.append(h("h2", {}, t("add.device")), h("p", {}, t("add.device.text")),
      h("div", { class: "box" }, h("h3", {}, t("add.incoming")), values(device.server, device.password, t("add.incoming.kind")),
        h("p", {}, h("strong", {}, t("add.once"))),
        h("h3", {}, t("add.outgoing")), device.outgoing.host ? [values(device.outgoing, "", t("add.outgoing.kind")), h("p", { class: "dim" }, t("add.outgoing.same"))]
          : added?.password === "signin" ? h("p", {}, t("add.outgoing.not"))
            : smtp ? [values(smtp, "", t("add.outgoing.kind")), h("p", { class: "dim" }, t("add.outgoing.password"))] : h("p", {}, t("add.outgoing.unknown", { address }))));
  } else if (device) el.append(h("p", {}, t("add.device.there")));
  el.append(h("div", { class: "buttons" }, h("a", { class: "button primary", href: "#/" }, t("add.home")), h("a", { class: "button", href: "#/devices" }, t("add.devices"))));
  const seen = device?.password ? shownOnce() : () => {};
  return state => { if (!state) { draft = fresh(); seen(); } }; // what is shown once is not shown again
}
