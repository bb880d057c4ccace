// Makes elements out of names, attributes and text. Nothing that comes from elsewhere can
// become markup here: children are nodes or text, and attributes are set by name.

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child */

/** Attributes that a person reads, or has read aloud. */
const read = new Set(["aria-label", "title", "data-label", "alt", "placeholder", "download"]);

/**
 * @param {Element} el
 * @param {Record<string, any>} attrs  functions are listeners, true is an empty value, null and false are left out
 * @param {Child[]} children
 */
function fill(el, attrs, children) {
  for (const [name, value] of Object.entries(attrs)) {
    if (typeof value === "function") el.addEventListener(name, value);
    else if (value === true) el.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) el.setAttribute(name, read.has(name) ? shown(String(value)) : String(value));
  }
  add(el, children);
}

/**
 * @param {Element} el
 * @param {Child[]} children
 */
export function add(el, children) {
  for (const child of children.flat(9)) {
    if (child instanceof Node) el.append(child);
    else if (child !== null && child !== undefined && child !== false) el.append(document.createTextNode(shown(String(child))));
  }
}

/** Marks that turn the direction of text around would let a sender hide what is written.
 * @param {string} s */
export const shown = s => s.replace(/[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/g, "\ufffd").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attrs]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attrs = {}, ...children) {
  const el = document.createElement(tag);
  fill(el, attrs, children);
  return el;
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attrs]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attrs = {}, ...children) {
  const el = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(el, attrs, children);
  return el;
}

/** @param {Element} el @param {...Child} children */
export function replace(el, ...children) {
  el.replaceChildren();
  add(el, children);
}
