// Mail that was deleted here, to look through and bring back.
import { h, replace } from "./dom.js";
import { t, when, number } from "./text.js";
import { ask } from "./api.js";
import { action, failed, field, say } from "./parts.js";

/** @typedef {import("./types").Expunged} Expunged */

const page = 100; // messages are shown at a time, of each user

/** @param {Expunged} m */
const key = m => m.user + "/" + m.id;

/** @type {import("./main").Page} */
export default async function deleted(el, _, s) {
  /** @type {import("./types").DeviceChoices} */
  const { users } = await ask("GET", "/devices/choices");
  const now = s.now;
  const text = field(t("deleted.text"), { type: "search" });
  const folders = [...new Set(users.flatMap(u => u.folders))];
  const folder = field(t("deleted.folder"), { options: { "": t("deleted.folder.any"), ...Object.fromEntries(folders.map(f => [" " + f, f])) }, value: "" });
  const since = field(t("deleted.since"), { options: { "": t("deleted.since.any"), "1d": t("deleted.since.day"), "7d": t("deleted.since.week"), "30d": t("deleted.since.month") }, value: "" });
  const user = users.length > 1 ? field(t("deleted.user"), { options: { "": t("deleted.user.any"), ...Object.fromEntries(users.map(u => [u.user, u.user])) }, value: "" }) : null;
  const found = h("p", { role: "status" }), rows = h("tbody", {}), wrong = h("div", {});
  const every = h("input", { type: "checkbox", "aria-label": t("deleted.all"), change: () => {
    for (const m of shown) every.checked ? chosen.set(key(m), m) : chosen.delete(key(m));
    for (const box of rows.querySelectorAll("input")) box.checked = every.checked;
    count();
  } });
  const back = action(t("deleted.bring.none"), async () => {
    if (chosen.size === 0) throw new Error(t("deleted.choose"));
    /** @type {Map<string, number[]>} */
    const ids = new Map();
    for (const m of chosen.values()) ids.set(m.user, [...ids.get(m.user) ?? [], m.id]);
    const wanted = chosen.size;
    /** @type {import("./types").Restored[]} */
    const restored = [];
    try {
      for (const [user, list] of ids) restored.push(...await ask("POST", "/undelete", { user, ids: list }));
    } finally {
      chosen.clear();
      await load();
    }
    const into = [...new Set(restored.map(r => r.mailbox))].join(", ");
    const gone = wanted - restored.length;
    return [restored.length > 0 ? t("deleted.back", { n: restored.length, folders: into }) : "", gone > 0 ? t("deleted.gone", { n: gone }) : ""].filter(Boolean).join(" ");
  }, { primary: true });
  const button = /** @type {HTMLButtonElement} */ (back.querySelector("button"));
  const table = h("table", { class: "stack mail" }, h("thead", {}, h("tr", {}, h("td", {}, every),
    ["from", "subject", "received", "folder", "deleted", "until"].map(c => h("th", { scope: "col" }, t("deleted.column." + c))))), rows);
  const whole = h("p", { class: "whole" }, h("label", {}, h("input", { type: "checkbox", change: () => every.click() }), " ", t("deleted.all")));
  const more = h("button", { type: "button", click: async () => {
    const before = shown.length;
    limit += page;
    await load();
    rows.querySelectorAll("input")[before]?.focus(); // what is new begins there
  } }, t("deleted.more"));
  table.hidden = back.hidden = whole.hidden = more.hidden = true; // until it is known what there is
  el.append(h("h1", {}, t("nav.deleted")), h("p", {}, t("deleted.about")),
    h("form", { class: "filters", role: "search", submit: (/** @type {Event} */ e) => e.preventDefault() }, text.box, folder.box, since.box, user?.box),
    found, whole, table, wrong, h("p", { class: "buttons" }, more), h("div", { class: "buttons sticky" }, back));

  /** @type {Map<string, Expunged>} */
  const chosen = new Map();
  /** @type {Expunged[]} */
  let shown = [];
  let limit = page, asked = 0;

  function count() {
    if (chosen.size > 0) replace(/** @type {Element} */ (back.querySelector(".result"))); // what was said is over
    button.textContent = chosen.size === 0 ? t("deleted.bring.none") : t("deleted.bring", { n: chosen.size });
    every.checked = shown.length > 0 && shown.every(m => chosen.has(key(m)));
    const box = whole.querySelector("input");
    if (box) box.checked = every.checked;
  }

  /** @param {Expunged} m */
  function row(m) {
    const cell = (/** @type {string} */ c, /** @type {string} */ text) => h("td", { "data-label": t("deleted.column." + c) }, text);
    const box = h("input", { type: "checkbox", checked: chosen.has(key(m)), "aria-label": t("deleted.select", { subject: m.subject || t("deleted.nothing"), from: m.from }), change: () => {
      box.checked ? chosen.set(key(m), m) : chosen.delete(key(m));
      count();
    } });
    return h("tr", {}, h("td", {}, box), cell("from", m.from), cell("subject", m.subject || t("deleted.nothing")), cell("received", when(m.received, now)),
      cell("folder", user ? m.user + ": " + m.mailbox : m.mailbox), cell("deleted", when(m.expunged_at, now)), cell("until", when(m.until, now)));
  }

  async function load() {
    const mine = ++asked;
    const days = parseInt(since.input.value || "0");
    try {
      /** @type {Expunged[]} */
      const list = await ask("POST", "/expunged", { user: user?.input.value ?? "", match: text.input.value.trim(), mailbox: folder.input.value.slice(1), limit: limit + 1,
        since: days > 0 ? new Date(Date.now() - days * 86400e3).toISOString() : null });
      if (mine !== asked) return; // something else was asked for meanwhile
      /** @type {Record<string, number>} */
      const of = {};
      shown = list.filter(m => (of[m.user] = (of[m.user] ?? 0) + 1) <= limit);
      const there = new Set(shown.map(key));
      for (const k of chosen.keys()) if (!there.has(k)) chosen.delete(k); // what is not seen is not brought back
      replace(rows, shown.map(row));
      replace(wrong);
      const filtered = text.input.value.trim() !== "" || folder.input.value !== "" || days > 0 || (user?.input.value ?? "") !== "";
      more.hidden = shown.length === list.length;
      replace(found, shown.length === 0 ? t(filtered ? "deleted.no.match" : "deleted.none") : more.hidden ? t("deleted.found", { n: shown.length }) : t("deleted.found.more", { n: number(shown.length) }));
      table.hidden = back.hidden = whole.hidden = shown.length === 0;
      count();
    } catch (e) {
      replace(wrong, failed(e));
    }
  }
  let timer = 0;
  text.input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(again, 250);
  });
  for (const f of [folder, since, user]) f?.input.addEventListener("change", again);
  function again() {
    limit = page;
    load();
  }
  await load();
  return (/** @type {import("./main").State | null} */ s) => { if (!s) clearTimeout(timer); };
}
