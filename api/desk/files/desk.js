// What is live on the desk. Every page is whole without it.
"use strict";

const LOOK_EVERY_MS = 2000;
const TRY_AGAIN_MS = 5000;
const SENT_FOR_MS = 6000;

// The folds that the visitor opened or closed. They stay as they are.
const touched = new WeakSet();
document.addEventListener("click", (event) => {
  const fold = event.target.closest?.("summary")?.parentElement;
  if (fold) touched.add(fold);
});

const selects = (node) => {
  const chosen = document.getSelection();
  return chosen !== null && !chosen.isCollapsed && chosen.containsNode(node, true);
};
const focused = (node) => node.contains(document.activeElement) && document.activeElement !== document.body;
const folds = (node) => [...node.querySelectorAll("details")];
const inUse = (node) => focused(node) || selects(node) || folds(node).some((each) => touched.has(each));

// Rows with a `data-key`: new ones come in, old ones go, and one that is in use is left alone.
const mergeRows = (list, fresh) => {
  const known = new Map([...list.children].map((each) => [each.dataset.key, each]));
  let at = list.firstElementChild;
  for (const row of [...fresh.children]) {
    const old = known.get(row.dataset.key);
    known.delete(row.dataset.key);
    if (old === undefined) {
      list.insertBefore(row, at);
      continue;
    }
    at = old.nextElementSibling;
    if (!old.isEqualNode(row) && !inUse(old)) old.replaceWith(row);
  }
  for (const gone of known.values()) if (!inUse(gone)) gone.remove();
};

// A whole part. Its folds stay open, and the focus stays on a fold; anything else in use keeps the part as it is.
const replacePart = (part, fresh) => {
  const on = focused(part) ? document.activeElement : null;
  const fold = on?.matches("details[data-key] > summary") ? on.parentElement.dataset.key : null;
  if ((on !== null && fold === null) || selects(part)) return;
  const kept = new Map(folds(part).filter((each) => touched.has(each)).map((each) => [each.dataset.key, each.open]));
  part.replaceChildren(...fresh.childNodes);
  for (const each of folds(part)) {
    if (!kept.has(each.dataset.key)) continue;
    each.open = kept.get(each.dataset.key);
    touched.add(each);
  }
  if (fold !== null) folds(part).find((each) => each.dataset.key === fold)?.querySelector("summary").focus({ preventScroll: true });
};

// The parts of this page that another rendering of it brings up to date.
const bring = (html) => {
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.querySelector(`[data-live="${part.dataset.live}"]`);
    if (fresh === null || part.isEqualNode(fresh)) continue;
    if (part.dataset.rows === undefined) replacePart(part, fresh);
    else mergeRows(part, fresh);
  }
};

const state = document.querySelector("[data-state]");
const say = (live) => {
  if (state === null) return;
  state.setAttribute("role", "status");
  const text = live ? "Live" : "Not live, trying again";
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("live", live);
  state.hidden = false;
};

// Whoever is led elsewhere has to log in again. The page is loaded anew, unless a form is being filled in.
const leave = () => {
  if (document.activeElement?.form) say(false);
  else location.reload();
};

const look = async (path) => {
  try {
    const answer = await fetch(path, { credentials: "same-origin", redirect: "manual" });
    if (answer.type === "opaqueredirect") return leave();
    if (answer.ok) bring(await answer.text());
    say(answer.ok);
  } catch {
    say(false); // the worker is away for a moment; the next look finds it again
  }
};

// A page with `data-follow` is asked for again and again, but not while nobody sees it.
const followed = document.querySelector("[data-follow]");
if (followed !== null) {
  let waiting = 0;
  const next = async () => {
    clearTimeout(waiting);
    if (document.hidden) return;
    await look(followed.dataset.follow);
    clearTimeout(waiting);
    waiting = setTimeout(next, LOOK_EVERY_MS);
  };
  waiting = setTimeout(next, LOOK_EVERY_MS);
  say(true);
  document.addEventListener("visibilitychange", next);
}

// A page with `data-stream` gets its parts from the server. A hidden page gives its connection back.
const streamed = document.querySelector("[data-stream]");
if (streamed !== null) {
  let stream = null;
  let waiting = 0;
  const close = () => {
    clearTimeout(waiting);
    stream?.close();
    stream = null;
  };
  const open = () => {
    close();
    if (document.hidden) return;
    stream = new EventSource(streamed.dataset.stream);
    stream.addEventListener("open", () => say(true));
    stream.addEventListener("message", (event) => bring(event.data));
    stream.addEventListener("error", () => {
      say(false);
      if (stream?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      close();
      waiting = setTimeout(async () => {
        await look(location.pathname);
        open();
      }, TRY_AGAIN_MS);
    });
  };
  open();
  document.addEventListener("visibilitychange", open);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
}

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent !== undefined) event.preventDefault();
  form.dataset.sent = "";
  setTimeout(() => { delete form.dataset.sent; }, SENT_FOR_MS);
});
