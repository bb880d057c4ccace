// The words of the page, numbers and times, in the language that is chosen.

/** @typedef {string | {one?: string, other: string}} Entry */
export const languages = /** @type {Record<string, string>} */ ({ en: "English", de: "Deutsch" });

export const language = chosen();
const words = /** @type {Record<string, Entry>} */ ((await (language === "de" ? import("./de.js") : import("./en.js"))).default);

function chosen() {
  const wanted = [localStorage.getItem("popbridge-language") ?? "", ...navigator.languages.map(l => l.split("-")[0])];
  return wanted.find(l => l in languages) ?? "en";
}

/** @param {string} l */
export function choose(l) {
  localStorage.setItem("popbridge-language", l);
  location.reload();
}

/** A formatter is slow to make, and made once. @type {Map<string, any>} */
const formatters = new Map();

/**
 * @template T
 * @param {string} name
 * @param {() => T} make
 * @returns {T}
 */
function made(name, make) {
  let f = formatters.get(name);
  if (!f) formatters.set(name, f = make());
  return f;
}

/** @param {Intl.NumberFormatOptions} [o] */
const numbers = o => made("n" + JSON.stringify(o ?? {}), () => new Intl.NumberFormat(language, o));
/** @param {Intl.DateTimeFormatOptions} o */
export const dates = o => made("d" + JSON.stringify(o), () => new Intl.DateTimeFormat(language, o));
const relative = () => made("ago", () => new Intl.RelativeTimeFormat(language, { numeric: "auto" }));
const clock = /** @type {Intl.DateTimeFormatOptions} */ ({ hour: "2-digit", minute: "2-digit" });

/**
 * The text of an id, with {name} replaced. One with n is chosen by that number.
 * @param {string} id
 * @param {Record<string, string | number>} [values]
 */
export function t(id, values = {}) {
  let entry = words[id] ?? id;
  if (typeof entry === "object") {
    const kind = made("plural", () => new Intl.PluralRules(language)).select(Number(values.n));
    entry = (kind === "one" && entry.one) || entry.other;
  }
  return entry.replace(/\{(\w+)\}/g, (all, name) => name in values ? (typeof values[name] === "number" ? number(values[name]) : values[name]) : all);
}

// The first formatter takes the browser long: it is made while the rest of the page loads.
numbers();
relative();
dates(clock);

/** Whether there is such a text. @param {string} id */
export const has = id => id in words;

/** @param {any} n */
export const number = n => numbers().format(Number(n));

/** A size in bytes. @param {number} n */
export function size(n) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let unit = 0;
  for (; n >= 1000 && unit < units.length - 1; unit++) n /= 1000;
  return numbers({ style: "unit", unit: units[unit], unitDisplay: unit === 0 ? "long" : "short", maximumFractionDigits: n < 10 && unit > 1 ? 1 : 0 }).format(n);
}

/** A moment, as "14:05" today and with its date otherwise. @param {string | null | undefined} at @param {Date} now */
export function when(at, now) {
  if (!at) return "";
  const d = new Date(at);
  const time = dates(clock).format(d);
  if (d.toDateString() === now.toDateString()) return time;
  return dates({ day: "numeric", month: "short", year: d.getFullYear() === now.getFullYear() ? undefined : "numeric" }).format(d) + ", " + time;
}

/** How long ago or ahead a moment is, "4 minutes ago". @param {string | null | undefined} at @param {Date} now */
export function ago(at, now) {
  if (!at) return "";
  const s = (new Date(at).getTime() - now.getTime()) / 1000;
  for (const [unit, length] of /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([["day", 86400], ["hour", 3600], ["minute", 60]])) {
    if (Math.abs(s) >= length) return relative().format(Math.round(s / length), unit);
  }
  return Math.abs(s) < 10 ? t("now") : relative().format(Math.round(s), "second");
}

/** A span of seconds in words, "4 min". @param {number} s */
export function span(s) {
  const [n, unit] = s >= 5400 ? [s / 3600, "hour"] : s >= 90 ? [s / 60, "minute"] : [s, "second"];
  return numbers({ style: "unit", unit: String(unit), unitDisplay: "long", maximumFractionDigits: 0 }).format(Math.max(1, Math.round(n)));
}
