// One account: how it is, its settings, its password, and what is deleted at the provider.
import { h, replace } from "./dom.js";
import { t, ago, language, size, when } from "./text.js";
import { ask, work, Fault, isEnded } from "./api.js";
import { action, confirm, failed, field, icon, ofKind, say } from "./parts.js";
import { advice, form, isPort, mayConnect, outside, right, ruleOf, rules, ruleText, wrongCount, securities, tried } from "./form.js";
import { look } from "./home.js";
import { sending } from "./sending.js";
import { clientForm, signin } from "./signin.js";
import { accountOf, confirmDeletions, poll } from "./health.js";

/** @typedef {import("./types").AccountDetails} Details */
/** @typedef {import("./types").Account} Account */

const shown = 200, portion = 1000; // deletions that are listed at first, and more when asked for

/** @type {import("./main").Page} */
export default async function account(el, args, s) {
  const [name, asked = ""] = args;
  el.append(h("h1", {}, name ?? t("nav.account")));
  const d = await ask("POST", "/accounts/details", { account: name ?? "" });
  const at = "#/account/" + encodeURIComponent(d.account);
  const part = asked !== "login-to-send" ? asked : d.sending.password ? "sending" : "password"; // where that is entered
  const tabs = [["", "account.settings"], ["/password", d.password === "signin" ? "account.signin" : "account.password"], ["/sending", "account.sending"], ["/deletions", "account.deletions"]];
  const client = part === "client" && d.token_provider && d.password !== "signin"; // on the way to a sign-in
  const here = client ? "/password" : tabs.some(([p]) => p === "/" + part) ? "/" + part : "";
  el.append(h("nav", { class: "tabs", "aria-label": t("account.parts") }, h("ul", {}, tabs.map(([p, text]) =>
    h("li", {}, h("a", { href: at + p, "aria-current": p === here ? "page" : null }, t(text)))))));
  if (client) {
    el.append(h("h2", {}, t("add.client")));
    return clientForm(el, d, "account.client.keep", "account.client.use", async () => {
      await ask("POST", "/accounts/signin", { account: d.account });
      location.hash = at + "/password";
    }, h("a", { class: "button", href: at + "/password" }, t("add.back")));
  }
  if (here === "/password") return login(el, d);
  if (here === "/sending") return sending(el, d);
  if (here === "/deletions") return deletions(el, d, s);
  return settings(el, d, s);
}

/** @param {string} name @param {Record<string, string>} settings @param {string} [seen] the digest of what they delete, as it was shown */
const set = (name, settings, seen = "") => ask("PATCH", "/accounts", { account: name, settings, seen });

/** @param {HTMLElement} el @param {Details} d @param {import("./main").State} s */
function settings(el, d, s) {
  const state = h("p", { class: "verdict" }), problems = h("ul", {}), paused = h("p", { class: "dim" }, t("account.paused"));
  const trouble = h("section", { "aria-labelledby": "problems" }, h("h2", { id: "problems" }, t("account.problems")), problems, poll(t("poll.again"), [d.account]));
  const notes = h("ul", {}), known = h("section", { "aria-labelledby": "notes" }, h("h2", { id: "notes" }, t("account.notes")), notes);
  const pollNow = poll(t("poll"), [d.account]), found = h("div", { role: "status" }), tests = test(d, found);
  let isPaused = /** @type {boolean | null} */ (null), said = isPaused, told = "", noted = "";
  const pause = action(t("account.pause"), async () => {
    const wanted = said = !isPaused;
    await set(d.account, { paused: wanted ? "true" : "" });
    return t(wanted ? "account.is.paused" : "account.resumed");
  });
  el.append(state, trouble, known, h("div", { class: "buttons" }, pollNow, pause, tests), paused, found, settingsForm(d), remove(d));
  /** @param {import("./main").State | null} s */
  function update(s) {
    const a = s?.status.accounts.find(a => a.name === d.account);
    if (!s || !a) return;
    const text = a.last_error && a.state !== "polling" && a.state !== "paused" ? "trouble" : a.last_success || a.state !== "idle" ? a.state : "new";
    replace(state, icon(look(a)), " ", t("state." + text), a.last_success ? ", " + t("account.since", { ago: ago(a.last_success, s.now), n: a.stored }) : "");
    const list = [a.last_error, ...(a.problems ?? [])].filter(Boolean);
    const c = s.status.health.find(c => a.last_error && accountOf(c) === d.account && c.code.startsWith("account-") && c.text.endsWith(a.last_error));
    trouble.hidden = list.length === 0;
    if (told !== (told = [...list, c?.hint].join("\n"))) replace(problems, list.map((p, i) => h("li", {}, p === a.last_error && ofKind(a.kind), " ", h("span", { lang: "en" }, p),
      i === 0 && c && [h("p", { class: "dim", lang: "en" }, c.hint), c.link && h("p", {}, outside(c.link))])));
    known.hidden = !a.notes?.length;
    if (noted !== (noted = (a.notes ?? []).join("\n"))) replace(notes, (a.notes ?? []).map(n => h("li", { lang: "en" }, n)));
    pollNow.hidden = a.state === "paused" || list.length > 0;
    if (isPaused === (isPaused = a.state === "paused")) return;
    paused.hidden = !isPaused;
    /** @type {Element} */ (pause.querySelector("button")).textContent = t(isPaused ? "account.resume" : "account.pause");
    if (said !== isPaused) replace(/** @type {Element} */ (pause.querySelector(".result"))); // it was changed elsewhere
  }
  update(s);
  return update;
}

/** Logs in, and shows what there is; nothing is fetched. @param {Details} d @param {HTMLElement} found */
const test = (d, found) => action(t("account.test"), async () => {
  replace(found, h("progress", { "aria-label": t("account.testing") }));
  try {
    const [p] = await ask("POST", "/probe", { accounts: [d.account] });
    replace(found, tried({ ...p, wrong: [], command: "", username: d.server.username, advice: d.advice }));
  } catch (e) {
    replace(found);
    throw e;
  }
});

/** How often that is: a duration of the config is a sum, such as 1h30m. @param {string} duration */
function often(duration) {
  const units = /** @type {Record<string, number>} */ ({ d: 86400, h: 3600, m: 60, s: 1 });
  const seconds = [...duration.matchAll(/([\d.]+)([dhms])/g)].reduce((sum, [, n, unit]) => sum + Number(n) * units[unit], 0);
  const unit = Object.keys(units).find(u => seconds % units[u] === 0) ?? "s";
  return t("every." + unit, { n: seconds / units[unit] });
}

/** @param {Details} d */
function settingsForm(d) {
  const now = { ...d.settings };
  const [rule, n] = ruleOf(now.keep_on_server);
  const every = Object.fromEntries(["1m", "2m", "5m", "10m", "15m", "30m", "1h", "1d", now.poll_every].map(e => [e, often(e)]));
  const check = (/** @type {string} */ key, /** @type {boolean} */ on) => field(t("account." + key), { type: "checkbox", checked: on, change: () => tell() }, t("account." + key + ".help"));
  const keep = field(t("account.keep"), { value: rule, change: () => { f.quota.wrong(""); tell(); }, options: Object.fromEntries(Object.keys(rules).map(r => [r, t("keep." + r + ".name")])) });
  const count = field("", { value: n, inputmode: "numeric", input: () => tell() });
  const sentence = h("p", { class: "dim" });
  const f = {
    keep_on_server: count,
    quota: field(t("account.quota"), { value: now.quota }, t("account.quota.help")),
    delete_on_server: check("expunged", now.delete_on_server !== ""),
    delete_grace: field(t("account.grace"), { value: now.delete_grace }, t("account.grace.help")),
    confirm_deletes: check("confirm", now.confirm_deletes === "true"),
    shadow: check("shadow", now.shadow === "true"),
    poll_every: field(t("account.every"), { options: every, value: now.poll_every }),
    folder: field(t("account.folder"), { value: now.folder }, t("account.folder.help")),
    max_message_size: field(t("account.max"), { value: now.max_message_size }, t("account.max.help")),
  };
  function tell() {
    count.box.hidden = keep.input.value === "forever" || keep.input.value === "never";
    count.wrong("");
    if (!count.box.hidden) replace(/** @type {Element} */ (count.box.querySelector("label")), t("keep." + keep.input.value + ".n"));
    f.quota.box.hidden = keep.input.value !== "below";
    f.delete_grace.box.hidden = !f.delete_on_server.input.checked;
    const text = f.shadow.input.checked ? t("account.nothing") : ruleText(keep.input.value, count.input.value);
    if (sentence.textContent !== text) sentence.textContent = text;
  }
  tell();
  /** What is typed, where it is another value than before. */
  function changed() {
    const typed = /** @type {Record<string, string>} */ ({});
    for (const [key, one] of Object.entries(f)) typed[key] = one.input.type === "checkbox" ? String(one.input.checked) : one.input.value.trim();
    typed.keep_on_server = rules[keep.input.value](count.input.value.trim());
    typed.delete_on_server = f.delete_on_server.input.checked ? "when expunged" : "";
    if (keep.input.value !== "below") typed.quota = "";
    if (typed.delete_on_server === "") typed.delete_grace = now.delete_on_server ? "" : now.delete_grace;
    return Object.fromEntries(Object.entries(typed).filter(([key, value]) => value !== now[key]));
  }
  return h("section", { "aria-labelledby": "settings" }, h("h2", { id: "settings" }, t("account.settings")), form([
    h("fieldset", {}, h("legend", {}, t("account.stays")), keep.box, count.box, f.quota.box, sentence, f.delete_on_server.box, f.delete_grace.box, f.shadow.box, f.confirm_deletes.box),
    f.poll_every.box, f.folder.box, h("details", {}, h("summary", {}, t("account.more")), f.max_message_size.box)],
  t("account.save"), async () => {
    const ours = changed();
    const wrong = [], number = wrongCount(keep.input.value, count.input.value.trim());
    if (number) wrong.push({ key: "keep_on_server", text: number, hint: "" });
    if (keep.input.value === "below" && !f.quota.input.value.trim()) wrong.push({ key: "quota", text: t("wrong.quota"), hint: "" });
    if (!right(f, wrong, "")) return;
    if (Object.keys(ours).length === 0) return t("account.same");
    if (/^(archive|drafts|junk|sent|trash)$/i.test(ours.folder ?? "") && !await confirm(t("account.folder.special", { folder: ours.folder }), h("p", {}, t("account.folder.special.text")), { yes: t("account.save"), danger: true })) return;
    const plan = await ask("POST", "/accounts/plan", { account: d.account, settings: ours });
    if (!right(f, plan.wrong)) return;
    const p = plan.preview;
    if (p && !await confirm(t("account.plan"), planned(p, f.confirm_deletes.input.checked), { yes: t("account.save"), danger: p.delete?.length > 0 && !p.shadow })) return;
    if (!right(f, (await set(d.account, ours, p?.digest)).wrong)) return;
    for (const [key, value] of Object.entries(ours)) now[key] = value;
    say(t("account.saved"));
    return [h("p", {}, icon("ok"), " ", t("account.saved")), p?.needs_confirm && h("p", {}, h("a", { class: "button", href: "#/account/" + encodeURIComponent(d.account) + "/deletions" }, t("account.review")))];
  }));
}

/** What a change deletes. @param {import("./types").Preview} p @param {boolean} waits */
function planned(p, waits) {
  if (p.error) return [h("p", {}, t(waits ? "account.plan.unknown.waits" : "account.plan.unknown")), failed(new Fault({ kind: p.kind, text: p.error, hint: p.hint }, 422))];
  if (p.shadow || p.delete.length === 0) return h("p", {}, t("account.plan.none"));
  return [h("p", {}, h("strong", {}, t("account.plan.delete", { n: p.delete.length }))), h("p", {}, t(p.needs_confirm ? "account.plan.waits" : "account.plan.now")), table(rows(p.delete.slice(0, 5), ["from", "subject", "date"]), ["from", "subject", "date"]), p.delete.length > 5 && h("p", {}, t("account.andmore", { n: p.delete.length - 5 }))];
}

/** @type {Record<string, (m: import("./types").Deletion) => import("./dom.js").Child>} */
const columns = { from: m => m.from || t("account.unknown"), subject: m => m.subject || t("account.unknown"),
  date: m => when(m.date ?? m.stored_at, new Date()), size: m => size(m.size), reason: m => m.why ? [t("reason." + m.why), " ", h("span", { class: "dim", lang: "en" }, m.reason)] : h("span", { lang: "en" }, m.reason) };

/** @param {import("./types").Deletion[]} list @param {string[]} [names] */
const rows = (list, names = Object.keys(columns)) => list.map(m => h("tr", { tabindex: -1 }, names.map(c => h("td", { class: c, "data-label": t("account.col." + c) }, columns[c](m)))));

/** @param {HTMLElement[]} list @param {string[]} [names] */
const table = (list, names = Object.keys(columns)) => h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("account.deletions") }, h("table", { class: "stack deletions" },
  h("thead", {}, h("tr", {}, names.map(c => h("th", { scope: "col" }, t("account.col." + c))))), h("tbody", {}, list)));

/**
 * All deletions, of which the first are shown, and the others in portions.
 * @param {import("./types").Deletion[]} list
 * @param {(left: number) => void} [change] is told how many are not shown yet
 */
function listed(list, change = () => {}) {
  let n = shown;
  const el = table(rows(list.slice(0, n))), body = el.querySelector("tbody");
  const more = h("button", { type: "button", click: () => {
    const next = rows(list.slice(n, n += portion));
    body?.append(...next);
    tell();
    next[0].focus(); // what is new begins there
  } });
  function tell() {
    const left = Math.max(0, list.length - n);
    more.hidden = left === 0;
    more.textContent = left > portion ? t("account.more.some", { n: portion, left }) : t("account.more.rest", { n: left });
    change(left);
  }
  tell();
  return [el, h("p", { class: "buttons" }, more)];
}

/** @param {Details} d */
function remove(d) {
  return h("section", { "aria-labelledby": "remove" }, h("h2", { id: "remove" }, t("account.remove")), h("p", {}, t("account.remove.text")),
    action(t("account.remove.do"), async () => {
      if (!await confirm(t("account.remove.title", { account: d.account }), h("p", {}, t("account.remove.text")), { yes: t("account.remove.do"), danger: true })) return;
      await ask("DELETE", "/accounts", { account: d.account });
      say(t("account.removed"));
      location.hash = "#/";
    }, { danger: true }));
}

/** @param {HTMLElement} el @param {Details} d */
function login(el, d) {
  let end = () => {};
  const leave = (/** @type {import("./main").State | null} */ s) => { if (!s) end(); };
  if (d.signs_in) {
    const login = t("account.login", { username: d.server.username, server: d.server.host });
    el.append(h("h2", {}, t("account.signin")), h("p", {}, d.password === "signin" ? login : t("account.signin.send")));
    end = signin(el, d.account, { again: true });
  }
  if (d.password === "signin") return leave;
  if (d.signs_in) el.append(h("h2", {}, t("account.password")));
  if (d.password === "command") {
    el.append(h("p", {}, t("account.command")));
    return leave;
  }
  const f = {
    password: field(t("add.secret"), { "data-first": true, type: "password", autocomplete: "off" }, t("account.secret.help")),
    username: field(t("add.username"), { value: d.server.username, autocomplete: "username" }),
    host: field(t("add.host"), { value: d.server.host }),
    port: field(t("add.port"), { value: d.server.port, inputmode: "numeric" }),
    tls: field(t("add.tls"), { options: securities(), value: d.server.tls }),
  };
  el.append(advice(d.advice) ?? "", h("p", {}, t("account.login", { username: d.server.username, server: d.server.host })),
    d.sending.password ? h("p", {}, t("account.login.own"), " ", h("a", { href: "#/account/" + encodeURIComponent(d.account) + "/sending" }, t("account.sending"))) : "",
    form([f.password.box, h("details", {}, h("summary", {}, t("account.login.more")), f.username.box, f.host.box, f.tls.box, f.port.box)], t("account.login.save"), async () => {
      const port = f.port.input.value.trim(), wrong = [];
      if (!f.password.input.value) wrong.push({ key: "password", text: t("add.secret.wrong"), hint: "" });
      if (!isPort(port)) wrong.push({ key: "port", text: t("add.port.wrong"), hint: "" });
      if (!right(f, wrong, language)) return;
      const server = { username: f.username.input.value.trim(), host: f.host.input.value.trim(), port: +port, tls: f.tls.input.value };
      if (!await mayConnect(server.host, server.tls)) return;
      const r = await ask("POST", "/accounts/login", { account: d.account, password: f.password.input.value, server });
      if (!right(f, r.wrong)) return;
      if (r.error) {
        f.password.input.focus();
        return tried(r);
      }
      f.password.input.value = "";
      work("/sync", { accounts: [d.account] }, () => {}).catch(() => {}); // Home says what comes of it
      say(t("account.login.saved"));
      return [tried(r), h("p", {}, icon("ok"), " ", t("account.login.saved")), h("a", { class: "button", href: "#/" }, t("add.home"))];
    }, d.token_provider ? h("a", { class: "button", href: "#/account/" + encodeURIComponent(d.account) + "/client" }, t("add.oauth2.instead")) : null));
  return leave;
}

/** @param {HTMLElement} el @param {Details} d @param {import("./main").State} s */
function deletions(el, d, s) {
  const box = h("div", {}), said = h("div", { role: "status", tabindex: -1 });
  const held = s.status.health.find(c => c.code === "account-user-changed" && accountOf(c) === d.account);
  el.append(said, box);
  if (held) {
    replace(box, h("p", {}, t("account.held", { account: d.account, user: d.user })), h("p", { class: "dim", lang: "en" }, held.text),
      h("div", { class: "buttons" }, action(t("account.held.yes", { user: d.user }), async () => {
        await confirmDeletions(d.account, "");
        return t("account.held.done");
      })));
    return;
  }
  /** Says what came of it, where the focus goes: the button that was pressed is gone, or is another one. @param {import("./dom.js").Child} content */
  const tell = content => {
    replace(said, content);
    const at = document.activeElement;
    if (at === document.body || el.closest("main")?.contains(at)) said.focus(); // and not in the menu
  };
  const done = (/** @type {string} */ text) => { tell(h("p", {}, icon("ok"), " ", text)); say(text); };
  const keepAll = () => action(t("account.keepall"), async () => {
    await set(d.account, { keep_on_server: "", delete_on_server: "", quota: "", delete_grace: "" });
    done(t("account.kept"));
    load();
  });
  /** The list of what may be deleted, and the button that allows it, which says what of the list was not shown. @param {import("./types").Preview} p @param {boolean} incomplete */
  function allowed(p, incomplete) {
    const n = incomplete ? p.doubtful : p.delete.length, text = t(incomplete ? "account.allow.doubtful" : "account.allow", { n });
    let unseen = 0;
    const button = allow(p, incomplete, text, n, () => unseen);
    const list = listed(incomplete ? p.incomplete : p.delete, left => {
      unseen = left;
      /** @type {Element} */ (button.querySelector("button")).textContent = left > 0 ? t("account.allow.unseen", { text, n: left }) : text;
    });
    return { list, button };
  }
  const allow = (/** @type {import("./types").Preview} */ p, /** @type {boolean} */ incomplete, /** @type {string} */ text, /** @type {number} */ n, /** @type {() => number} */ unseen) => action(text, async () => {
    if (!await confirm(t(incomplete ? "account.allow.doubtful" : "account.allow.title", { n }), [unseen() > 0 && h("p", {}, h("strong", {}, t("account.unseen", { n: unseen() }))), h("p", {}, t("account.allow.text"))], { yes: t("account.allow.yes"), danger: true })) return;
    try {
      await confirmDeletions(d.account, p.digest, incomplete);
    } catch (e) {
      if (/** @type {any} */ (e).kind !== "conflict") throw e;
      tell(failed(new Error(t("account.changed"))));
      return load();
    }
    if (incomplete) {
      done(t("account.allowed"));
      return load();
    }
    tell(h("p", {}, icon("busy"), " ", t("account.deleting", { n })));
    replace(box);
    try { // it has begun already, or is not possible yet: what is left says which
      await work("/sync", { accounts: [d.account] }, () => {});
    } catch { /* see above */ }
    const left = await load();
    done(left === 0 ? t("account.deleted", { n }) : t("account.allowed"));
  }, { danger: true });
  async function load() {
    replace(box, h("p", {}, t("account.looking")), h("progress", { "aria-label": t("account.looking") }));
    try {
      const [p] = await ask("POST", "/preview", { accounts: [d.account] });
      if (p.error) throw new Fault({ kind: p.kind, text: p.error, hint: p.hint }, 422);
      const n = p.delete.length, some = n > 0 && !p.shadow, due = some || p.needs_confirm ? allowed(p, false) : null, doubtful = p.doubtful > 0 ? allowed(p, true) : null;
      replace(box,
        h("p", { class: "verdict" }, n === 0 || p.shadow ? t("account.nodeletions") : t(p.needs_confirm ? "account.waiting" : "account.due", { n })),
        some && due?.list, h("div", { class: "buttons" }, some && keepAll(), p.needs_confirm && due?.button),
        doubtful && h("section", {}, h("p", {}, t("account.doubtful", { n: p.doubtful })), doubtful.list, h("div", { class: "buttons" }, doubtful.button)));
      return n;
    } catch (e) {
      if (!isEnded(e)) replace(box, failed(e), action(t("account.again"), async () => { await load(); }));
    }
  }
  load();
}
