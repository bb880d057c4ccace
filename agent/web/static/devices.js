// Who can log in, who is connected, and what sets a mail program up.
import { h, svg, replace } from "./dom.js";
import { clock, number, t, has, when, ago } from "./text.js";
import { ask, Fault } from "./api.js";
import { action, confirm, copied, failed, field, icon, ofKind, say, shownOnce } from "./parts.js";
import { form } from "./form.js";

/** @typedef {import("./main").State} State */
/** @typedef {import("./types").Device} Device */
/** @typedef {import("./types").DeviceChoices} Choices */

let note = ""; // of what was done on the page before

/** Goes to the list, and says there what was done. @param {string} text */
function toList(text) {
  note = text;
  location.hash = "#/devices";
}

/** @param {string} what @param {Device} d */
const at = (what, d) => ["#/devices", what, encodeURIComponent(d.user), encodeURIComponent(d.name)].join("/");

/** @returns {Promise<Device[]>} */
const all = () => ask("GET", "/devices");

/** What the devices depend on, of the state. @param {State} s */
const mark = s => JSON.stringify([s.status.clients, s.status.programs, s.status.lan.clients]);

/** @param {string[]} args @returns {Promise<Device>} */
async function named([, user, name]) {
  const d = (await all()).find(d => d.user === user && d.name === name);
  if (!d) throw new Error(t("devices.gone", { name }));
  return d;
}

/** Whether it is connected, with what and from where. @param {Device} d @param {State} s */
function connected(d, s) {
  if (d.connections === 0) return [icon("info"), " ", d.last_used_at ? t("devices.used", { ago: used(d.last_used_at, s.now) }) : t("devices.unused")];
  const from = s.status.lan.clients.filter(c => c.user === d.user && c.device === d.name).map(c => c.address);
  return [icon("ok"), " ", t("devices.connected", { at: when(d.connected_since, s.now) }),
    d.programs.length > 0 ? h("span", { class: "dim" }, " ", d.programs.join(", ")) : null,
    from.length > 0 ? h("span", { class: "dim" }, " ", t("devices.from", { address: [...new Set(from)].join(", ") })) : null];
}

/** The last login, which is kept to the hour. @param {string} last @param {Date} now */
const used = (last, now) => now.getTime() - new Date(last).getTime() < 3600e3 ? t("devices.hour") : ago(last, now);

/** @type {import("./main").Page} */
export default function devices(el, args, s) {
  if (args[0] === "add") return add(el, s);
  if (args[0] === "change") return change(el, args);
  if (args[0] === "rename") return rename(el, args[1] ?? "");
  if (args[0] === "setup") return named(args).then(d => setUp(el, s, d, ""));
  return list(el, s);
}

/** @param {HTMLElement} el @param {State} s */
async function list(el, s) {
  const cards = h("ul", { class: "cards devices" }), none = h("p", {}), done = h("p", {});
  const tell = (/** @type {string} */ text) => {
    replace(done, icon("ok"), " ", text);
    say(text);
  };
  el.append(h("h1", {}, t("nav.devices")), h("p", {}, t("devices.about")),
    h("p", { class: "buttons" }, h("a", { class: "button primary", href: "#/devices/add" }, t("devices.add"))), done, none, cards);
  if (note) tell(note);
  note = "";
  const people = h("section", { "aria-labelledby": "users" });
  el.append(people);
  ask("GET", "/users").then(found => replace(people, h("h2", { id: "users" }, t("devices.users")), h("p", {}, t("devices.users.text")), h("ul", { class: "cards" }, found.map(person))),
    e => replace(people, failed(e)));
  let seen = "", now = s, unused = false;
  /** @type {Map<string, {el: Element, update: (d: Device, several: boolean) => void}>} */
  const known = new Map();
  async function load() {
    const found = await all();
    const several = new Set(found.map(d => d.user)).size > 1;
    unused = found.some(d => !d.last_used_at);
    replace(none, found.length === 0 ? t("devices.none") : null);
    for (const d of found) {
      const key = d.user + "/" + d.name;
      let c = known.get(key);
      if (!c) known.set(key, c = card(d, load, () => now, tell));
      c.update(d, several);
      cards.append(c.el);
    }
    for (const [key, c] of known) {
      if (found.some(d => d.user + "/" + d.name === key)) continue;
      c.el.remove();
      known.delete(key);
    }
  }
  /** @param {State | null} s */
  function update(s) {
    if (!s) return;
    now = s;
    if (mark(s) === seen && !unused) return; // a short login leaves no mark
    seen = mark(s);
    load().catch(() => { seen = ""; });
  }
  seen = mark(s);
  await load();
  return update;
}

/** @param {import("./types").User} u */
const person = u => h("li", { class: "card" }, h("h3", {}, u.name),
  h("dl", { class: "facts" }, h("dt", {}, t("devices.users.accounts")), h("dd", {}, u.accounts.join(", ") || t("devices.users.none")),
    h("dt", {}, t("devices.users.messages")), h("dd", {}, u.error ? h("span", { lang: "en" }, u.error) : number(u.messages))),
  h("div", { class: "buttons" }, h("a", { class: "button", href: "#/devices/rename/" + encodeURIComponent(u.name), "aria-label": t("devices.rename.label", { user: u.name }) }, t("devices.rename"))));

/** @param {HTMLElement} el @param {string} user */
function rename(el, user) {
  const name = field(t("devices.rename.name"), { "data-first": true, value: user, autocomplete: "username", required: true, maxlength: 64 }, t("devices.rename.help"));
  el.append(h("h1", {}, t("devices.rename.title", { user })), h("p", {}, t("devices.rename.text")), narrow(name.box, t("devices.rename"), async () => {
    const to = name.input.value.trim();
    name.wrong(to === "" || to === user ? t("devices.rename.missing") : "");
    if (to === "" || to === user) return;
    try {
      await ask("POST", "/users/rename", { from: user, to });
    } catch (e) {
      if (!(e instanceof Fault) || e.kind !== "config" && e.kind !== "conflict") throw e;
      return name.wrong([e.message, e.hint].filter(Boolean).join(" – "), "en", ofKind(e.kind));
    }
    toList(t("devices.renamed", { user, to }));
  }));
}

/** @param {Device} d @param {() => Promise<void>} load @param {() => State} now @param {(text: string) => void} tell */
function card(d, load, now, tell) {
  const name = d.name, state = h("p", { class: "state" }), facts = h("dl", { class: "facts" });
  const revoke = action(t("devices.revoke"), async () => {
    const yes = await confirm(t("devices.revoke.title", { name }), h("p", {}, t("devices.revoke.text")), { yes: t("devices.revoke"), danger: true });
    if (!yes) return;
    await ask("DELETE", "/devices", { user: d.user, name });
    await load();
    document.querySelector("h1")?.focus();
    tell(t("devices.revoked", { name }));
  }, { danger: true, label: t("devices.revoke.label", { name }) });
  const el = h("li", { class: "card" }, h("h2", {}, name), state, facts,
    h("div", { class: "buttons" },
      h("a", { class: "button", href: at("setup", d), "aria-label": t("devices.setup.label", { name }) }, t("devices.setup")),
      h("a", { class: "button", href: at("change", d), "aria-label": t("devices.change.label", { name }) }, t("devices.change")), revoke));
  const update = (/** @type {Device} */ d, /** @type {boolean} */ several) => {
    replace(state, connected(d, now()));
    const rows = [
      several ? ["devices.user", d.user] : null,
      ["devices.may", t(d.read_only ? "devices.may.read" : "devices.may.all") + (d.send ? t("devices.may.send") : "")],
      ["devices.sees", d.folders ? d.folders.join(", ") || t("devices.sees.nothing") : t("devices.sees.all")],
      ["devices.where", t(d.lan ? "devices.where.lan" : "devices.where.here")],
      d.without.length > 0 ? ["devices.without", d.without.join(", ")] : null,
      ["devices.added", when(d.created_at, now().now)]];
    replace(facts, rows.map(r => r && [h("dt", {}, t(r[0])), h("dd", {}, r[1])]));
  };
  return { el, update };
}

/**
 * The fields of what a device may do and see.
 * @param {Choices} choices
 * @param {{read_only: boolean, folders: string[] | null, without: string[], lan: boolean, send: boolean}} d
 */
function rights(choices, d) {
  const readOnly = field(t("devices.readonly"), { type: "checkbox", checked: d.read_only }, t("devices.readonly.help"));
  const send = field(t("devices.send"), { type: "checkbox", checked: d.send }, t("devices.send.help"));
  const lan = field(t("devices.lan"), { type: "checkbox", checked: d.lan, disabled: !choices.lan && !d.lan }, t(choices.lan ? "devices.lan.help" : "devices.lan.off"));
  if (!choices.lan) lan.box.append(h("details", { open: true }, h("summary", {}, t("devices.lan.how")), h("p", { lang: "en" }, choices.lan_off)));
  const some = h("details", { open: d.folders !== null });
  const without = several(choices.capabilities, d.without, t("devices.off"));
  let folders = several([], [], "");
  /** The folders of a user. @param {string} user */
  function of(user) {
    const names = choices.users.find(u => u.user === user)?.folders ?? [];
    folders = several(names, d.folders ?? [], t("devices.folders"));
    replace(some, h("summary", {}, t("devices.folders")), h("p", { class: "dim" }, t("devices.folders.help")), folders.el);
  }
  const touched = () => send.input.checked !== d.send; // else the rule decides, or what was said before
  const values = () => ({ send: touched() ? send.input.checked : null, read_only: readOnly.input.checked, lan: lan.input.checked, folders: folders.chosen(), without: without.chosen() });
  return { el: [readOnly.box, send.box, lan.box, some, h("details", { open: d.without.length > 0 }, h("summary", {}, t("devices.off")), h("p", { class: "dim" }, t("devices.off.help")), without.el)], of, values };
}

/** Boxes for names, of which some are marked. @param {string[]} names @param {string[]} marked @param {string} label */
function several(names, marked, label) {
  const boxes = names.map(name => ({ name, ...field(name, { type: "checkbox", checked: marked.includes(name) }) }));
  return { el: h("div", { class: "scroll", role: "group", "aria-label": label }, boxes.map(b => b.box)), chosen: () => boxes.filter(b => b.input.checked).map(b => b.name) };
}

/** @param {import("./dom.js").Child} content @param {string} yes @param {() => Promise<void>} work */
const narrow = (content, yes, work) => h("div", { class: "narrow" }, form(content, yes, work, h("a", { class: "button", href: "#/devices" }, t("cancel"))));

/** @param {HTMLElement} el @param {State} s */
async function add(el, s) {
  /** @type {[Choices, Device[]]} */
  const [choices, known] = await Promise.all([ask("GET", "/devices/choices"), all()]);
  const users = choices.users.map(u => u.user);
  const name = field(t("devices.name"), { "data-first": true, required: true }, t("devices.name.help"));
  const user = users.length > 1 ? field(t("devices.user"), { options: Object.fromEntries(users.map(u => [u, u])), value: users[0] }, t("devices.user.help")) : null;
  const may = rights(choices, { read_only: false, folders: null, without: [], lan: false, send: true });
  may.of(users[0]);
  name.input.addEventListener("input", () => name.wrong(""));
  user?.input.addEventListener("change", () => may.of(user.input.value));
  /** @type {((s: State | null) => void) | undefined} */
  let next;
  const create = async () => {
    const wanted = { name: name.input.value.trim(), user: user?.input.value ?? users[0] ?? "", ...may.values() };
    name.wrong("");
    if (wanted.name === "") return name.wrong(t("devices.name.missing"));
    if ([...wanted.name].length > 64) return name.wrong(t("devices.name.long"));
    if (known.some(d => d.user === wanted.user && d.name === wanted.name)) return name.wrong(t("devices.name.taken"));
    const made = await ask("POST", "/devices/new", wanted);
    replace(el);
    next = await setUp(el, s, made, made.password);
    el.querySelector("h1")?.setAttribute("tabindex", "-1");
    el.querySelector("h1")?.focus();
  };
  el.append(h("h1", {}, t("devices.add")), narrow([name.box, user?.box, may.el], t("devices.create"), create));
  return (/** @type {State | null} */ now) => {
    if (now) s = now;
    next?.(now);
  };
}

/** @param {HTMLElement} el @param {string[]} args */
async function change(el, args) {
  /** @type {[Choices, Device]} */
  const [choices, d] = await Promise.all([ask("GET", "/devices/choices"), named(args)]);
  const may = rights(choices, d);
  may.of(d.user);
  const before = may.values();
  // Where its folders are gone there is no mark to take away.
  const every = d.folders?.length === 0 ? field(t("devices.every"), { type: "checkbox" }, t("devices.every.help")) : null;
  const save = async () => {
    const { lan, folders, without, read_only, send } = may.values();
    const alike = (/** @type {string[]} */ a, /** @type {string[]} */ b) => JSON.stringify([...a].sort()) === JSON.stringify([...b].sort());
    // Folders that are gone are not among the boxes: what nobody has touched stays as it is.
    const same = alike(folders, before.folders) && !every?.input.checked;
    if (!same && folders.length === 0 && !await confirm(t("devices.widen.title", { name: d.name }), h("p", {}, t("devices.widen.text")), { yes: t("devices.widen.yes"), danger: true })) return;
    await ask("PATCH", "/devices", { user: d.user, name: d.name, read_only, send, folders: same ? null : folders, without: alike(without, before.without) ? null : without, lan: lan === d.lan ? null : lan });
    toList(t("devices.saved", { name: d.name }));
  };
  el.append(h("h1", {}, t("devices.change.title", { name: d.name })), h("p", {}, t("devices.change.text")), narrow([every?.box, may.el], t("devices.save"), save));
}

/** @param {import("./types").Drawing} code @param {string} label */
const qr = (code, label) => svg("svg", { class: "qr", viewBox: `0 0 ${code.size} ${code.size}`, role: "img", "aria-label": label, "shape-rendering": "crispEdges" }, svg("path", { d: code.path }));

/**
 * What sets a mail program up for a device, with the password of a new one.
 * @param {HTMLElement} el @param {State} s @param {Device} d @param {string} password
 */
async function setUp(el, s, d, password) {
  const state = h("p", { class: "state", role: "status" }), rest = h("div", {}), values = h("dl", { class: "values" }), once = h("div", {});
  const name = d.name, device = { user: d.user, device: name }, certificate = h("div", {}), telephone = h("div", {});
  let secret = password, setup = /** @type {import("./types").ClientSetup | null} */ (null), keep = password ? shownOnce() : () => {};
  /** The values, with the password while that is known. */
  function tell() {
    replace(values, setup && [copied(t("devices.value.host"), setup.host), copied(t("devices.value.port"), String(setup.port)), copied(t("devices.value.security"), protection(setup.security))],
      copied(t("devices.value.user"), d.user), secret && copied(t("devices.value.password"), secret));
    replace(once, secret ? h("p", {}, icon("warning"), " ", t("devices.once")) : [h("p", { class: "dim" }, t("devices.before")), renew]);
  }
  const renew = action(t("devices.password"), async () => {
    if (!await confirm(t("devices.password.title", { name }), h("p", {}, t("devices.password.text")), { yes: t("devices.password"), danger: true })) return;
    secret = (await ask("POST", "/devices/password", device)).password;
    keep = shownOnce();
    tell();
    say(t("devices.password.made"));
  });
  const title = h("h1", {}, t(password ? "devices.made" : "devices.setup.title", { name }));
  el.append(title, state, h("section", { class: "box" }, h("h2", {}, t("devices.values")), values, once), telephone, rest, certificate,
    h("div", { class: "buttons" }, h("a", { class: "button primary", href: "#/devices" }, t("devices.done"))));
  /** @type {string[]} */
  const links = [];
  /** @param {import("./types").ClientFile} f */
  const file = f => {
    const url = URL.createObjectURL(new Blob([f.data], { type: "application/octet-stream" })); // which is never shown
    links.push(url);
    const mail = known || !f.name.endsWith(".mobileconfig"); // else it has no account in it
    const words = mail ? "devices.file." + f.name.split(".").pop() : "devices.file.bare";
    return h("li", {}, h("a", { href: url, download: f.name }, f.name), h("br"), h("span", { class: "dim" }, has(words) ? t(words) : f.for));
  };
  const android = h("div", {});
  let known = false;
  replace(rest, looking());
  tell();
  const atOnce = ask("POST", "/devices/client", { ...device, at_once: true }).then((/** @type {import("./types").ClientSetup} */ c) => {
    setup = c;
    tell();
    replace(telephone, h("section", {}, h("h2", {}, t("devices.phone")), phone(d, password !== ""), android));
    if (c.fingerprint) replace(certificate, h("details", {}, h("summary", {}, t("devices.certificate")), h("p", {}, t("devices.certificate.text")), h("code", {}, c.server_fingerprint),
      h("p", {}, t("devices.certificate.authority")), h("code", {}, c.fingerprint)));
  });
  atOnce.then(() => ask("POST", "/devices/client", { ...device, at_once: false })).then((/** @type {import("./types").ClientSetup} */ c) => {
    known = c.outgoing.some(o => o.host !== "");
    const usual = (/** @type {import("./types").ClientFile} */ f) => /\.(mobileconfig|xml|html)$/.test(f.name);
    if (d.lan) replace(android, h("details", {}, h("summary", {}, t("devices.android")),
      c.qr ? [h("p", {}, t("devices.android.text")), qr(c.qr, t("devices.android.qr"))] : h("p", {}, t(c.here ? "devices.android.here" : "devices.android.outgoing"))));
    replace(rest,
      c.outgoing.length > 0 && h("details", {}, h("summary", {}, t("devices.outgoing")),
        c.outgoing.map(o => [h("h3", {}, o.address), h("p", { class: "dim" }, t("devices.sends." + o.secret)), o.host === "" ? h("p", {}, t("devices.outgoing.unknown")) : h("dl", { class: "values" },
          copied(t("devices.value.host"), o.host), copied(t("devices.value.port"), String(o.port)), copied(t("devices.value.security"), protection(o.security)), copied(t("devices.value.user"), o.username))])),
      h("section", {}, h("h2", {}, t("devices.files")), h("ul", { class: "files" }, c.files.filter(usual).map(file)),
        h("details", {}, h("summary", {}, t("devices.files.more")), h("ul", { class: "files" }, c.files.filter(f => !usual(f)).map(file)))));
  }).catch(e => replace(rest, failed(e)));
  let seen = "", now = s, unused = true;
  /** A login may be shorter than what the state tells of: while none is known it is asked for. */
  const waiting = setInterval(() => unused && look(), 2000);
  function look() {
    if (document.hidden || now.away) return;
    all().then(list => {
      const is = list.find(x => x.user === d.user && x.name === name);
      if (is) replace(state, (unused = is.connections === 0 && !is.last_used_at) ? [icon("busy"), " ", t("devices.waiting")] : connected(is, now));
    }, () => { seen = ""; });
  }
  /** @param {State | null} s */
  function update(s) {
    if (!s) {
      clearInterval(waiting);
      keep();
      return links.forEach(URL.revokeObjectURL);
    }
    now = s;
    if (mark(s) === seen && !unused) return;
    seen = mark(s);
    look();
  }
  update(s);
  if (!password) await atOnce.catch(() => {});
  return update;
}

/** How a connection is protected, in the words of mail programs. @param {string} security */
const protection = security => security === "none" ? t("tls.none") : security;

const looking = () => h("p", { class: "state", role: "status" }, icon("busy"), " ", t("devices.looking"));

/** How a phone is set up, or why it is not. @param {Device} d @param {boolean} fresh */
function phone(d, fresh) {
  if (!d.lan) return h("p", {}, t("devices.phone.not"));
  const page = h("div", {});
  const show = action(t("devices.phone.page"), async () => {
    replace(page, looking());
    /** @type {import("./types").PhonePage} */
    const p = await ask("POST", "/devices/phone", { user: d.user, device: d.name }).catch(e => {
      replace(page);
      throw e;
    });
    replace(page, h("p", {}, t("devices.phone.open", { at: clock(new Date(p.until)) })),
      qr(p.qr, t("devices.phone.qr")), h("dl", { class: "values" }, copied(t("devices.phone.link"), p.url)),
      h("p", {}, t("devices.phone.warns")), h("p", {}, h("code", {}, p.page_fingerprint)),
      h("p", {}, t("devices.phone.authority")), h("p", {}, h("code", {}, p.fingerprint)));
    show.querySelector("button")?.replaceChildren(t("devices.phone.again"));
  }, { primary: !fresh });
  if (fresh) show.querySelector("button")?.click();
  return [page, show];
}
