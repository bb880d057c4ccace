// The keys of the config file: those that a browser may set, and where the others stand.
import { h, replace } from "./dom.js";
import { t, has, language, languages, choose } from "./text.js";
import { ask, Fault } from "./api.js";
import { confirm, failed, field, icon, say } from "./parts.js";
import { form } from "./form.js";

/** @typedef {import("./types").Setting} Setting */

/** The keys that only the file has, with their values. @param {Setting[]} keys */
const fixed = keys => h("table", { class: "stack" },
  h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("settings.key")), h("th", { scope: "col" }, t("settings.value")), h("th", { scope: "col", class: "n" }, t("settings.line")))),
  h("tbody", {}, keys.map(k => h("tr", {},
    h("td", {}, t("settings." + k.key), " ", h("code", { class: "dim" }, k.key)),
    h("td", { "data-label": t("settings.value") }, h("code", {}, k.value || k.default || "\u2013")),
    h("td", { "data-label": t("settings.line"), class: "n" }, k.line ? String(k.line) : t("settings.default"))))));

/** @param {Setting} k */
function editable(k) {
  const attrs = k.bool ? { type: "checkbox", checked: (k.value || k.default) === "true" }
    : k.choices.length ? { options: Object.fromEntries(k.choices.map(c => [c, t(`settings.${k.key}.${c}`)])), value: k.value || k.default }
    : { type: "text", value: k.value, placeholder: k.default };
  const f = field(t("settings." + k.key), attrs, [t("settings.doc." + k.key), k.restart && [" ", t("settings.restart")]]);
  const value = () => k.bool ? String(f.input.checked) : f.input.value.trim();
  const before = value();
  return { ...f, key: k.key, changed: () => value() !== before, value };
}

/** What the page itself looks like, which this browser keeps. */
function browser() {
  const theme = localStorage.getItem("popbridge-theme") ?? "system";
  const set = (/** @type {Event} */ e) => {
    const chosen = /** @type {HTMLSelectElement} */ (e.target).value;
    localStorage.setItem("popbridge-theme", chosen);
    document.documentElement.dataset.theme = chosen;
  };
  return h("section", { "aria-labelledby": "s-browser" }, h("h2", { id: "s-browser" }, t("settings.browser")),
    field(t("settings.language"), { options: languages, value: language, change: (/** @type {Event} */ e) => choose(/** @type {HTMLSelectElement} */ (e.target).value) }).box,
    field(t("settings.theme"), { options: { system: t("theme.system"), light: t("theme.light"), dark: t("theme.dark") }, value: theme, change: set }).box);
}

/** What is wrong with a value, in the language of the page where it has words for it. @param {import("./types").SettingProblem} p @param {string} value @returns {[string, string, string]} */
function wrong(p, value) {
  const id = "settings.wrong." + p.key, meant = /did you mean "(.+?)"/.exec(p.text + p.hint)?.[1];
  if (!has(id)) return [p.text + (p.hint ? ": " + p.hint : ""), "en", language === "en" ? "" : t("wrong")];
  return [t(id, { value }) + (meant ? " " + t("settings.meant", { value: meant }) : ""), "", ""];
}

/** @type {import("./main").Page} */
export default async function settings(el, _, s) {
  const body = h("div", {}), restart = h("ul", { class: "conditions" });
  el.append(h("h1", {}, t("nav.settings")), restart, body, browser());
  let told = "";

  /** @param {import("./types").Settings} now @param {string} [said] */
  function show(now, said) {
    /** @type {ReturnType<typeof editable>[]} */
    const fields = [];
    const group = (/** @type {Setting} */ k) => k.key.includes(".") ? k.key.split(".")[0] : "file";
    const open = now.keys.filter(k => !k.fixed);
    const groups = [...new Set(open.map(group))].map(name => ({ name, keys: open.filter(k => group(k) === name) }));
    const save = async () => {
      const values = Object.fromEntries(fields.filter(f => f.changed()).map(f => [f.key, f.value()]));
      for (const f of fields) f.wrong("");
      if (Object.keys(values).length === 0) return t("settings.same");
      /** @type {import("./types").SettingsSaved} */
      let saved;
      for (let forget = 0; ; forget = saved.forgets) {
        saved = await ask("PATCH", "/settings", { values, forget });
        if (saved.forgets <= forget) break;
        if (!await confirm(t("settings.forgets", { n: saved.forgets }), h("p", {}, t("settings.forgets.text")), { yes: t("settings.forgets.yes"), danger: true })) return t("settings.same");
      }
      const { problems, settings: after } = saved;
      const stray = problems.find(p => !fields.some(f => f.key === p.key));
      if (stray) throw new Fault({ kind: "config", text: stray.key + " " + stray.text, hint: stray.hint }, 422);
      for (const f of [...fields].reverse()) { // the first one has the focus in the end
        const p = problems.find(p => p.key === f.key);
        if (p) f.wrong(...wrong(p, f.value()));
      }
      if (problems.length > 0) return;
      const said = [t("settings.saved"), after.keys.some(k => k.restart && k.key in values) ? t("settings.saved.restart") : ""].filter(Boolean).join(" ");
      show(after, said);
      say(said);
    };
    const done = h("p", { role: "status", tabindex: -1 }, said && [icon("ok"), " ", said]);
    replace(body,
      h("p", {}, t("settings.file"), " ", h("code", {}, now.file), " ", t("settings.accounts")),
      now.problems.map(p => failed(new Fault({ text: [p.key, p.text, p.hint].filter(Boolean).join(" \u2013 ") }, 422), p.line ? t("settings.problem", { line: String(p.line) }) : "")),
      form(groups.map(({ name, keys }) => h("section", { "aria-labelledby": "s-" + name }, h("h2", { id: "s-" + name }, t("settings.group." + name)),
        keys.map(k => {
          const f = editable(k);
          fields.push(f);
          return f.box;
        }))), t("settings.save"), save), done,
      h("section", { "aria-labelledby": "s-fixed" }, h("h2", { id: "s-fixed" }, t("settings.fixed")), h("p", {}, t("settings.fixed.text")), fixed(now.keys.filter(k => k.fixed))));
    if (said) done.focus();
  }
  /** @param {import("./main").State | null} s */
  function update(s) {
    const needs = s?.status.health.filter(c => c.code === "restart-needed" || c.code === "config-invalid") ?? [];
    if (!s || JSON.stringify(needs) === told) return;
    told = JSON.stringify(needs);
    replace(restart, needs.map(c => h("li", { class: "condition " + c.severity }, icon(c.severity),
      h("div", {}, h("p", {}, t("health." + c.code)), h("p", { class: "dim", lang: "en" }, c.text), c.hint && h("p", { class: "dim" }, t("terminal"), " ", h("span", { lang: "en" }, c.hint))))));
  }
  show(await ask("GET", "/settings"));
  update(s);
  return update;
}
