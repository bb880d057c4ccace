// Keeps the place of the focus where what has it is replaced, removed or hidden: a person
// at the keyboard goes on where they were, and not at the top of the page.

/** @param {Element} e */
const seen = e => e.isConnected && e.getClientRects().length > 0;

/** What an element is called. @param {Element} e */
const name = e => e.getAttribute("aria-label") ?? e.textContent;

/** What had the focus, what is around it, the innermost first, and the list entry that it was in. @type {{el: Element, name: string | null, around: Element[], entry: string | null} | null} */
let last = null;

function note() {
  const el = document.activeElement;
  if (!el || el === document.body) {
    last = null; // a person has left it
    return;
  }
  const around = [];
  for (let e = el.parentElement; e; e = e.parentElement) around.push(e);
  last = { el, name: name(el), around, entry: el.closest("[data-key]")?.getAttribute("data-key") ?? null };
}

/** Where the focus goes now: to what has the same name in the same place, to a button beside it that harms nothing, or to the heading above. @returns {HTMLElement | null} */
function next() {
  if (!last) return null;
  const { el, name: was, entry } = last;
  for (const around of last.around) {
    if (!seen(around)) continue;
    const among = entry === null ? around : [...around.querySelectorAll("[data-key]")].find(e => e.getAttribute("data-key") === entry) ?? around;
    const same = [...among.querySelectorAll(el.tagName)].find(e => seen(e) && name(e) === was);
    if (same) return /** @type {HTMLElement} */ (same);
    if (around.matches(".page, main")) break;
    const beside = [...around.querySelectorAll("button:not(.danger)")].find(seen) ?? (around.matches("section") ? [...around.querySelectorAll("h2")].find(seen) : null);
    if (beside) return /** @type {HTMLElement} */ (beside);
  }
  return document.querySelector("main h1");
}

/** Begins to keep it. @param {HTMLElement} main */
export function keepFocus(main) {
  document.addEventListener("focusin", note);
  document.addEventListener("pointerup", note);
  new MutationObserver(() => {
    const at = document.activeElement;
    if (!last || (at && at !== document.body && seen(at)) || seen(last.el) || document.querySelector("dialog[open]")) return;
    const to = next();
    if (!to) return;
    if (!to.matches("a, button, input, select, textarea, summary, [tabindex]")) to.setAttribute("tabindex", "-1");
    to.focus();
  }).observe(main, { subtree: true, childList: true, attributes: true, attributeFilter: ["hidden"] });
}
