// The keys of the config file, each with what it is for and where it stands.
import { h, replace } from "./dom.js";
import { t } from "./text.js";
import { ask, Fault } from "./api.js";
import { failed, field, icon, say } from "./parts.js";
import { form } from "./form.js";

/** @typedef {import("./types").Setting} Setting */

/** @param {Setting} k @param {string} file */
const place = (k, file) => k.line ? t("settings.line", { line: String(k.line), file: file.replace(/^.*[\\/]/, "") }) : t("settings.default");

/** The documentation of the agent, in the language of the page. @param {Setting} k */
const doc = k => t("settings.doc." + k.key, { doc: k.doc });

/** A key that stands here to be read. @param {Setting} k @param {string} file */
function fixed(k, file) {
  return [h("dt", {}, t("settings." + k.key), " ", h("code", { class: "dim" }, k.key)),
    h("dd", {}, h("code", {}, k.value || k.default || "\u2013"), h("p", { class: "dim" }, doc(k), ". ", place(k, file)))];
}

/** @param {Setting} k @param {string} file */
function editable(k, file) {
  const help = h("span", {}, doc(k), ". ", h("code", {}, k.key), ", ", place(k, file));
  const attrs = k.bool ? { type: "checkbox", checked: (k.value || k.default) === "true" }
    : k.choices.length ? { options: Object.fromEntries(k.choices.map(c => [c, t(`settings.${k.key}.${c}`)])), value: k.value || k.default }
    : { type: "text", value: k.value, placeholder: k.default };
  const f = field(t("settings." + k.key), attrs, help);
  const value = () => k.bool ? String(f.input.checked) : f.input.value.trim();
  const before = value();
  return { ...f, key: k.key, changed: () => value() !== before, value };
}

/** @type {import("./main").Page} */
export default async function settings(el, _, s) {
  const body = h("div", {}), restart = h("ul", { class: "conditions" });
  el.append(h("h1", {}, t("nav.settings")), restart, body);
  let told = "";

  /** @param {import("./types").Settings} now @param {string} [said] */
  function show(now, said) {
    /** @type {ReturnType<typeof editable>[]} */
    const fields = [];
    const group = (/** @type {Setting} */ k) => k.key.includes(".") ? k.key.split(".")[0] : "file";
    const groups = [...new Set(now.keys.map(group))].map(name => ({ name, keys: now.keys.filter(k => group(k) === name) }));
    const save = async () => {
      const values = Object.fromEntries(fields.filter(f => f.changed()).map(f => [f.key, f.value()]));
      for (const f of fields) f.wrong("");
      if (Object.keys(values).length === 0) return t("settings.same");
      const { problems, settings: after } = await ask("PATCH", "/settings", { values });
      for (const p of [...problems].reverse()) {
        const f = fields.find(f => f.key === p.key);
        const text = p.text + (p.hint ? ": " + p.hint : "");
        if (!f) throw new Fault({ text: p.key + " " + p.text, hint: p.hint }, 422);
        f.wrong(text, "en");
      }
      if (problems.length > 0) return;
      show(after, t("settings.saved"));
      say(t("settings.saved"));
    };
    const done = h("p", { role: "status", tabindex: -1 }, said && [icon("ok"), " ", said]);
    replace(body,
      h("p", {}, t("settings.file"), " ", h("code", {}, now.file)),
      now.problems.map(p => failed(new Fault({ text: [p.key, p.text, p.hint].filter(Boolean).join(" \u2013 ") }, 422), p.line ? t("settings.problem", { line: String(p.line) }) : "")),
      form([groups.map(({ name, keys }) => h("section", { "aria-labelledby": "s-" + name }, h("h2", { id: "s-" + name }, t("settings.group." + name)),
          keys.filter(k => !k.fixed).map(k => {
            const f = editable(k, now.file);
            fields.push(f);
            return f.box;
          }),
          keys.some(k => k.fixed) && h("div", { class: "box" },
            h("p", {}, icon("info"), " ", t("settings.fixed." + (name === "file" ? "folder" : "listen"))),
            h("dl", {}, keys.filter(k => k.fixed).map(k => fixed(k, now.file))))))], t("settings.save"), save), done,
      h("p", { class: "dim" }, t("settings.accounts")));
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
