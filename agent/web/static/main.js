// Signs in, keeps up with the agent, and shows the page that the address names:
// #/NAME/ARGUMENT.
import { add, h, replace } from "./dom.js";
import * as api from "./api.js";
import { t, language, when } from "./text.js";
import { icon, failed, say } from "./parts.js";
import { keepFocus } from "./focus.js";
import home, { verdict } from "./home.js";

/**
 * A page shows itself in an element; what it returns is called with each new state, and
 * at the end with none.
 * @typedef {(el: HTMLElement, args: string[], now: State) => void | ((s: State | null) => void) | Promise<void | ((s: State | null) => void)>} Page
 */
/** @typedef {{status: import("./types").Status, now: Date, away?: boolean}} State away: popbridge does not answer, and this is how it was */

/** Those that are not looked at first are loaded when they are. @type {Record<string, {title: string, load: () => Promise<{default: Page}>, menu?: boolean}>} */
const pages = {
  "": { title: "nav.home", load: async () => ({ default: home }), menu: true },
  add: { title: "nav.add", load: () => import("./add.js") },
  account: { title: "nav.account", load: () => import("./account.js") },
  devices: { title: "nav.devices", load: () => import("./devices.js"), menu: true },
  outbox: { title: "nav.outbox", load: () => import("./outbox.js") },
  deleted: { title: "nav.deleted", load: () => import("./deleted.js"), menu: true },
  storage: { title: "nav.storage", load: () => import("./storage.js"), menu: true },
  log: { title: "nav.log", load: () => import("./log.js"), menu: true },
  settings: { title: "nav.settings", load: () => import("./settings.js"), menu: true },
  about: { title: "nav.about", load: () => import("./about.js"), menu: true },
};

const $ = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @type {State | null} */
let state = null;
/** @type {((s: State | null) => void) | null} */
let update = null;

/** The state as it was told last. */
export const current = () => state;

function header() {
  const menu = h("button", { type: "button", class: "menu", id: "menu", "aria-expanded": "false", "aria-controls": "pages",
    click: () => menu.setAttribute("aria-expanded", String(menu.getAttribute("aria-expanded") !== "true")) }, t("nav.menu")); // of a narrow window
  replace($("header"),
    h("a", { href: "#/", class: "brand" }, icon("logo"), "popbridge"), menu,
    h("nav", { id: "pages", "aria-label": t("nav.label") }, h("ul", {}, Object.entries(pages).filter(([, p]) => p.menu).map(([name, p]) =>
      h("li", {}, h("a", { href: "#/" + name, "data-page": name }, t(p.title)))))));
  $("skip").textContent = t("nav.skip");
}

const slow = 300; // milliseconds from which on it is said that a page loads

/** Shows the page of the address: its heading at once, and the rest when it is there. Focus goes to the first field of a page that is mainly a form, else to its heading, as after a new page. @param {boolean} [moved] */
async function show(moved) {
  const [name, ...args] = location.hash.replace(/^#\/?/, "").split("/").map(part => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  const page = pages[name] ?? pages[""];
  leave();
  const here = page.menu && page !== pages[""] ? name : ""; // what is in no menu belongs to Home
  for (const a of document.querySelectorAll("#pages a")) {
    if (a.getAttribute("data-page") === here) a.setAttribute("aria-current", page.menu ? "page" : "true");
    else a.removeAttribute("aria-current");
  }
  document.getElementById("menu")?.setAttribute("aria-expanded", "false");
  const el = h("div", { class: "page" }), wait = h("div", { class: "page" });
  let heading = h("h1", { tabindex: -1 }, page === pages.account && args[0] || t(page.title));
  const top = h("div", { class: "page" }, heading);
  const own = new MutationObserver(() => { // the page has a heading of its own by now
    const h1 = el.querySelector("h1");
    if (!h1 || !top.isConnected) return;
    const focused = document.activeElement === heading;
    h1.setAttribute("tabindex", "-1");
    top.remove();
    heading = h1;
    if (focused) heading.focus();
    title();
  });
  own.observe(el, { childList: true });
  replace($("main"), top, el, wait);
  title();
  if (moved) heading.focus();
  const timer = setTimeout(() => add(wait, [h("p", { class: "dim", role: "status" }, t("loading"))]), slow);
  if (!state) return; // take shows it
  try {
    const next = await (await page.load().catch(api.away)).default(el, args, state);
    if (!el.isConnected) return next?.(null); // another page was asked for meanwhile
    update = next ?? null;
  } catch (e) {
    const gone = name === "account" && e instanceof api.Fault && e.kind === "not found"; // as after Back, where it was removed
    el.append(gone ? h("p", {}, t("account.gone")) : failed(e));
    if (!el.isConnected) return;
  } finally {
    clearTimeout(timer);
    wait.remove();
  }
  title();
  const at = document.activeElement;
  if (moved && (at === heading || at === document.body)) (/** @type {HTMLElement | null} */ (el.querySelector("[data-first]")) ?? heading).focus();
}

/** Ends the page that is shown. */
function leave() {
  const end = update;
  update = null;
  end?.(null);
}

/** Shows how it is now. What goes wrong in a page is its own trouble, shown there once. @param {State | null} next */
async function take(next) {
  const first = state === null;
  state = next;
  document.body.classList.toggle("away", state?.away === true);
  try {
    if (first && state) {
      await show();
    } else if (state) update?.(state);
    title();
  } catch (e) {
    if (update) $("main").lastElementChild?.append(failed(e));
    update = null;
  }
}

const moved = () => show(true);

/** How it was said to be; null: nothing was said yet. @type {string | null} */
let told = null;

/** The title of the tab says how it is, and where one is. That something is wrong, or all is well again, is also read aloud. */
function title() {
  const heading = document.querySelector("main h1")?.textContent ?? "";
  const v = state ? verdict(state) : null;
  if (v && !state?.away) { // of which the bar tells
    const now = v.severity === "ok" ? "" : v.text; // that all is well is said with a time
    if (told !== null && told !== now) say(v.text);
    told = now;
  }
  document.title = (v && v.severity !== "ok" ? "\u25cf " : "") + [heading, "popbridge"].filter(Boolean).join(" \u2013 ");
}

/** Follows the agent as long as the page is looked at; tries again when it is away. */
async function follow() {
  let wait = 500;
  let since = /** @type {Date | null} */ (null);
  for (;;) {
    if (document.hidden) await new Promise(done => document.addEventListener("visibilitychange", done, { once: true }));
    const stop = new AbortController();
    let said = /** @type {api.Fault | null} */ (null), told = false;
    const hidden = () => document.hidden && stop.abort();
    document.addEventListener("visibilitychange", hidden);
    try {
      for await (const event of api.events(stop.signal)) {
        told = true;
        if (since) {
          since = null;
          say(t("back"));
        }
        $("lost").hidden = true;
        wait = 500;
        const status = event.status ?? state?.status;
        if (status) await take({ status, now: new Date(event.now) });
      }
    } catch (e) {
      if (api.isSignedOut(e)) return signedOut(/** @type {api.Fault} */ (e));
      said = e instanceof api.Fault ? e : null;
      if (e instanceof api.Silent) told = false;
    } finally {
      document.removeEventListener("visibilitychange", hidden);
    }
    if (document.hidden || stop.signal.aborted) continue;
    if (!told) { // what has ended just now is asked again first: the browser may have been signed out
      since ??= new Date();
      lost(said, since);
      if (!said && state && !state.away) await take({ ...state, away: true });
    }
    await new Promise(done => setTimeout(done, wait));
    wait = Math.min(wait * 1.5, 5000);
  }
}

/** Says that there is no answer, or one that refuses; once, as it may be read aloud. @param {api.Fault | null} said @param {Date} since */
function lost(said, since) {
  const now = h("p", {}, said ? h("span", { lang: "en" }, [said.message, said.hint].filter(Boolean).join(" \u2013 "))
    : [t("lost", { at: when(since.toISOString(), new Date()) }), " ", t("lost.start"), " ", h("code", {}, "popbridge open")]);
  if ($("lost").textContent !== now.textContent) replace($("lost"), now);
  $("lost").hidden = false;
}

/** @param {api.Fault} [e] */
function signedOut(e) {
  removeEventListener("hashchange", moved);
  leave();
  document.body.classList.remove("away");
  document.getElementById("menu")?.remove(); // what the pages show is not to be had
  document.getElementById("pages")?.remove();
  replace($("main"), h("div", { class: "page narrow" },
    h("h1", {}, t("signin.title")),
    e && e.status === 403 ? failed(e) : null,
    h("p", {}, t("signin.menu")),
    h("p", {}, t("signin.command"), " ", h("code", {}, "popbridge open"))));
  $("lost").hidden = true;
  document.title = t("signin.title") + " \u2013 popbridge";
}

async function start() {
  document.documentElement.lang = language;
  document.documentElement.dataset.theme = localStorage.getItem("popbridge-theme") ?? "system";
  await api.ready();
  header();
  keepFocus($("main"));
  $("skip").addEventListener("click", e => {
    e.preventDefault(); // the part behind # names a page
    $("main").focus();
  });
  const ticket = /^#t=(\w+)$/.exec(location.hash);
  if (ticket) {
    history.replaceState(null, "", location.pathname + "#/");
    try {
      await api.signIn(ticket[1]);
    } catch (e) {
      if (!api.known()) return signedOut(/** @type {api.Fault} */ (e));
    }
  }
  if (!api.known()) return signedOut();
  addEventListener("hashchange", moved);
  show();
  await follow();
}

addEventListener("hashchange", () => {
  if (/^#t=/.test(location.hash)) location.reload(); // `popbridge open` while a page is open
});
start();
