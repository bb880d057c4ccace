// Parts that several pages use.
import { add, h, replace, svg, shown } from "./dom.js";
import { has, language, t } from "./text.js";
import { Away, Fault, isEnded } from "./api.js";

const paths = /** @type {Record<string, string>} */ ({
  logo: "M3 12l13 8 13-8M3 12v14h26V12M3 12C8 4 24 4 29 12M9 26v-5M23 26v-5",
  ok: "M6 17l7 7L26 9",
  info: "M16 15v9M16 8.5v.1",
  warning: "M16 4L3 27h26zM16 13v6M16 23v.1",
  error: "M9 9l14 14M23 9L9 23",
  busy: "M26 16a10 10 0 1 1-4-8M22 3v5h-5",
  paused: "M11 8v16M21 8v16",
});

/** A picture of one colour; its meaning is said in words beside it. @param {string} name */
export const icon = name => svg("svg", { viewBox: "0 0 32 32", class: "icon " + name, "aria-hidden": "true", focusable: "false" }, svg("path", { d: paths[name] ?? paths.info }));

/** A sentence about the kind of an error, for a page that is not in the language of the agent. @param {string | undefined} kind */
export const ofKind = kind => language !== "en" && has("kind." + kind) ? t("kind." + kind) : "";

/**
 * An error: what happened, and what to do. The agent says it in English; on a page in
 * another language a sentence about its kind is in front of that.
 * @param {any} e
 * @param {string} [words] of the page, in front of what the agent says
 */
export function failed(e, words) {
  const lang = e instanceof Fault ? "en" : null;
  const kind = !words && e instanceof Fault ? ofKind(e.kind) : "";
  const hint = words ? e.message : e instanceof Fault ? e.hint : "";
  const text = words ? words : e instanceof Away ? t("error.away") : String(e?.message ?? e);
  return h("div", { class: "failed", role: "alert" }, icon("error"), h("div", {}, kind && h("p", {}, kind), h("p", { lang: words ? null : lang }, text), hint && h("p", { class: "dim", lang }, hint)));
}

/** Says something to who does not see the page. @param {string} text */
export function say(text) {
  const el = document.getElementById("said");
  if (el) el.textContent = shown(text);
}

/**
 * A button for work that takes a moment: it cannot be pressed twice, and what came of it
 * is shown beside it. work returns what to say, or nothing.
 * @param {string} text
 * @param {(b: HTMLButtonElement) => Promise<string | void>} work
 * @param {{primary?: boolean, danger?: boolean, label?: string}} [o]
 */
export function action(text, work, o = {}) {
  const result = h("span", { class: "result" });
  const b = h("button", { type: "button", class: o.primary ? "primary" : o.danger ? "danger" : "", "aria-label": o.label ?? null, click: async () => {
    if (b.getAttribute("aria-disabled") === "true") return;
    b.setAttribute("aria-disabled", "true"); // and not disabled: the focus stays
    result.replaceChildren();
    try {
      const said = await work(b);
      if (said) {
        result.append(icon("ok"), " ", said);
        say(said);
      }
    } catch (e) {
      if (!isEnded(e)) result.append(failed(e));
    } finally {
      b.removeAttribute("aria-disabled");
    }
  } }, text);
  return h("span", { class: "action" }, b, result);
}

/**
 * Asks before something is done; true for yes. What is asked first has the focus, which
 * is on neither answer.
 * @param {string} title
 * @param {import("./dom.js").Child} content
 * @param {{yes: string, no?: string, danger?: boolean}} o
 * @returns {Promise<boolean>}
 */
export function confirm(title, content, o) {
  return new Promise(resolve => {
    const heading = h("h2", { tabindex: -1, autofocus: true }, title);
    const d = h("dialog", { "aria-label": title, close: () => { d.remove(); resolve(d.returnValue === "yes"); } },
      heading, content,
      h("div", { class: "buttons" },
        h("button", { type: "button", click: () => d.close("no") }, o.no ?? t("cancel")),
        h("button", { type: "button", class: o.danger ? "danger" : "primary", click: () => d.close("yes") }, o.yes)));
    document.body.append(d);
    d.showModal();
  });
}

/** What is on the page now is shown once: the browser asks before it is closed or loaded again, until what this returns is called. */
export function shownOnce() {
  const ask = (/** @type {Event} */ e) => e.preventDefault();
  addEventListener("beforeunload", ask);
  return () => removeEventListener("beforeunload", ask);
}

/** Lets the browser save a file. @param {string} name @param {BlobPart} content @param {string} type */
export function download(name, content, type) {
  const href = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60000);
}

/** A value with a button that copies it. @param {string} label @param {string} value */
export function copied(label, value) {
  const result = h("span", { class: "visually-hidden", role: "status" });
  const b = h("button", { type: "button", class: "small", "aria-label": t("copy.label", { what: label }), click: async () => {
    try {
      await navigator.clipboard.writeText(value);
      b.textContent = t("copied");
      result.textContent = t("copied");
    } catch {
      getSelection()?.selectAllChildren(code);
    }
  } }, t("copy"));
  const code = h("code", {}, value);
  return [h("dt", {}, label), h("dd", {}, code, " ", b, result)];
}

/**
 * A field of a form with its label, help and error.
 * @param {string} label
 * @param {Record<string, any>} attrs of the input; options makes a choice
 * @param {import("./dom.js").Child} [help]
 */
export function field(label, attrs, help) {
  const id = "f" + Math.random().toString(36).slice(2);
  const { options, ...rest } = attrs;
  const input = options
    ? h("select", { ...rest, id }, Object.entries(options).map(([value, text]) => h("option", { value, selected: value === rest.value }, /** @type {string} */ (text))))
    : h("input", { autocomplete: "off", spellcheck: "false", ...rest, id });
  const error = h("p", { class: "error", id: id + "e" });
  const described = [help ? id + "h" : "", id + "e"].filter(Boolean).join(" ");
  input.setAttribute("aria-describedby", described);
  const box = rest.type === "checkbox"
    ? h("div", { class: "field check" }, input, h("label", { for: id }, label), help && h("p", { class: "dim", id: id + "h" }, help), error)
    : h("div", { class: "field" }, h("label", { for: id }, label), input, help && h("p", { class: "dim", id: id + "h" }, help), error);
  /** Says what is wrong, before that a sentence of the page where the text is the agent's. */
  const wrong = (/** @type {string} */ text, lang = "", before = "") => {
    replace(error, before && before + " ", text && h("span", { lang: lang || null }, text));
    input.setAttribute("aria-invalid", String(text !== ""));
    if (text) input.focus();
  };
  return { box, input: /** @type {HTMLInputElement} */ (input), wrong };
}

/**
 * A plot of a number for each day, with a table behind it.
 * @param {string} title
 * @param {{label: string, value: number}[]} points
 * @param {(n: number) => string} format
 */
export function plot(title, points, format) {
  const days = 90;
  const width = 600, height = 120, most = Math.max(1, ...points.map(p => p.value));
  const step = width / days, first = days - points.length;
  const bars = points.map((p, i) => svg("rect", { x: (first + i) * step + 0.5, y: height - p.value / most * (height - 4), width: Math.max(1, step - 1), height: p.value / most * (height - 4) },
    svg("title", {}, p.label + ": " + format(p.value))));
  const sum = points.reduce((n, p) => n + p.value, 0);
  const table = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title });
  const behind = () => table.hasChildNodes() || add(table, [h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("plot.day")), h("th", { scope: "col", class: "n" }, title))),
    h("tbody", {}, [...points].reverse().map(p => h("tr", {}, h("td", {}, p.label), h("td", { class: "n" }, format(p.value))))))]);
  return h("figure", {},
    h("figcaption", {}, title),
    sum === 0 ? h("p", { class: "dim" }, t("plot.none")) : [
      svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "plot", role: "img", "aria-label": t("plot.label", { title, most: format(most), sum: format(sum) }), preserveAspectRatio: "none" }, bars),
      h("div", { class: "ends dim" }, h("span", {}, points.length > 1 ? points[0].label : ""), h("span", {}, t("plot.most", { most: format(most) })), h("span", {}, points[points.length - 1].label)),
      h("details", { toggle: behind }, h("summary", {}, t("plot.table")), table),
    ]);
}
