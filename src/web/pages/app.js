// What a page gains with a script: keys, times that stay true, parts that follow what happens.
// Everything can be read and done without it.
"use strict";

const SECOND = 1000;
const LEAST = 1.5 * SECOND; // between two looks at a page that changes

// ── times ────────────────────────────────────────────────────────────────────────────────────────

const short = (s) => s < 100 ? `${Math.floor(s)} s` : s < 5400 ? `${Math.round(s / 60)} min`
  : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;

// The server's clock counts: a browser's may be wrong.
const loaded = performance.now();
let ahead = 0;
const shown = document.querySelector("[data-now]");
if (shown) ahead = Number(shown.dataset.now) - Date.now();

function tell_times() {
  const now = Date.now() + ahead;
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const seconds = (now - Date.parse(time.dateTime)) / SECOND;
    time.textContent = Math.abs(seconds) < 1 ? "just now" : seconds < 0 ? `in ${short(-seconds)}` : `${short(seconds)} ago`;
  }
}
setInterval(tell_times, 5 * SECOND);

// ── parts that follow what happens ───────────────────────────────────────────────────────────────

const sign = document.getElementById("live");
let held = false, stream = null, waiting = null, last = 0, failures = 0;

function say(words) {
  if (!sign) return;
  sign.hidden = !words;
  sign.textContent = words;
}

const parts = () => [...document.querySelectorAll(".live-part[id]")];

// Somebody types or chooses here, or has marked text: leave it alone.
function busy(part) {
  const at = document.activeElement;
  if (part.contains(at) && at.matches("input, textarea, select")) return true;
  for (const one of part.querySelectorAll("input:not([type=hidden]), textarea, select")) {
    const first = one.options ? Math.max(0, [...one.options].findIndex((option) => option.defaultSelected)) : 0;
    if (one.options ? one.selectedIndex !== first : one.value !== one.defaultValue) return true;
  }
  const marked = getSelection();
  return Boolean(marked && !marked.isCollapsed && part.contains(marked.anchorNode));
}

async function look() {
  waiting = null;
  if (held || document.hidden) return;
  last = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
    if (answer.type === "opaqueredirect") { location.reload(); return; }
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of parts()) {
      const fresh = page.getElementById(part.id);
      if (!fresh || busy(part) || part.innerHTML === fresh.innerHTML) continue;
      const open = [...part.querySelectorAll("details[open][data-keep]")].map((one) => one.dataset.keep);
      const focus = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      const row = part.querySelector("tr.at a")?.getAttribute("href");
      part.replaceChildren(...fresh.childNodes);
      for (const one of part.querySelectorAll("details[data-keep]")) if (open.includes(one.dataset.keep)) one.open = true;
      if (focus) part.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus();
      if (row) part.querySelector(`tr a[href="${CSS.escape(row)}"]`)?.closest("tr").classList.add("at");
      if (fresh.dataset.live === undefined) delete part.dataset.live;
    }
    for (const number of page.querySelectorAll(".menu a")) {
      const own = document.querySelector(`.menu a[href="${CSS.escape(number.getAttribute("href"))}"]`);
      if (own && own.innerHTML !== number.innerHTML) own.innerHTML = number.innerHTML;
    }
    failures = 0;
    say("");
    tell_times();
    outputs();
  } catch {
    failures += 1;
    say("No answer from Ifso. Trying again.");
    soon(Math.min(30, 2 ** failures) * SECOND);
  }
}

function soon(least = LEAST) {
  if (waiting !== null) return;
  waiting = setTimeout(look, Math.max(0, least - (performance.now() - last)));
}

function listen() {
  const part = document.querySelector("[data-live]");
  if (!part || held || document.hidden || stream || !part.dataset.live) return;
  stream = new EventSource(part.dataset.live);
  stream.onopen = () => { if (failures) soon(0); };
  stream.onerror = () => {
    // A stream that ends in order is opened again by the browser; a closed one is ours to open.
    if (stream && stream.readyState === EventSource.CLOSED) { stream = null; failures += 1; say("Not connected. Trying again."); setTimeout(listen, 5 * SECOND); }
  };
  for (const name of ["execution.create", "execution.update", "execution.progress", "workflow.tree", "execution.end"])
    stream.addEventListener(name, () => soon());
  stream.addEventListener("execution.output", (heard) => written(JSON.parse(heard.data)));
  stream.addEventListener("execution.end", () => { stream?.close(); stream = null; });
}

function quiet() {
  stream?.close();
  stream = null;
  clearTimeout(waiting);
  waiting = null;
}

// Output comes piece by piece; what is there already is known by its id.
const OUTPUT_MOST = 400000; // letters on a page
function outputs() {
  for (const box of document.querySelectorAll("[data-output]")) if (box.dataset.end === undefined) box.scrollTop = box.scrollHeight;
}
function written(piece) {
  const box = document.querySelector("[data-output]");
  if (!box) { soon(); return; }
  const seen = box.seen ??= new Set((box.dataset.seen ?? "").split(" "));
  if (seen.has(piece.id)) return;
  seen.add(piece.id);
  box.closest("section[hidden]")?.removeAttribute("hidden");
  const end = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  const line = document.createElement("span");
  if (piece.task && piece.task !== box.dataset.task) {
    box.dataset.task = piece.task;
    const name = document.createElement("b");
    name.textContent = `── ${piece.task} ──\n`;
    box.append(name);
  }
  line.className = piece.output_type === "stderr" ? "err" : "";
  line.textContent = piece.data;
  box.append(line);
  while (box.textContent.length > OUTPUT_MOST && box.firstChild) box.firstChild.remove();
  if (end) box.scrollTop = box.scrollHeight;
}

for (const part of document.querySelectorAll("[data-every]"))
  setInterval(() => { if (!held && !document.hidden) soon(); }, Number(part.dataset.every) * SECOND);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) quiet();
  else if (!held && parts().length) { soon(0); listen(); }
});
addEventListener("pagehide", quiet);
addEventListener("pageshow", (shown) => { if (shown.persisted) { soon(0); listen(); } });

function hold() {
  held = !held;
  if (held) { quiet(); say("Held: nothing changes until you press l"); } else { say(""); soon(0); listen(); }
}

// ── forms ────────────────────────────────────────────────────────────────────────────────────────

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sure && !confirm(form.dataset.sure)) { event.preventDefault(); return; }
  if (form.method === "get") for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
  if (form.method === "post") setTimeout(() => { for (const one of form.querySelectorAll("button")) one.disabled = true; });
});
addEventListener("pageshow", () => { for (const one of document.querySelectorAll("form :disabled")) one.disabled = false; });
document.addEventListener("change", (event) => { if (event.target.closest("form[data-auto]")) event.target.form.requestSubmit(); });

// ── keys ─────────────────────────────────────────────────────────────────────────────────────────

let led = false;
function rows(step) {
  const all = [...document.querySelectorAll("table.rows tbody tr")];
  const at = all.findIndex((row) => row.classList.contains("at"));
  const next = all[Math.max(0, Math.min(all.length - 1, at + step))];
  if (!next) return;
  all[at]?.classList.remove("at");
  next.classList.add("at");
  next.scrollIntoView({ block: "nearest" });
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select")) { if (event.key === "Escape") event.target.blur(); return; }
  const help = document.getElementById("help");
  if (led) {
    led = false;
    const there = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (there) { event.preventDefault(); there.click(); return; }
  }
  const deeds = {
    "/": () => document.getElementById("find")?.focus(),
    f: () => document.querySelector(".filters input, .filters select")?.focus(),
    g: () => { led = true; setTimeout(() => { led = false; }, 1500); },
    j: () => rows(1),
    k: () => rows(-1),
    n: () => document.querySelector("a[rel=next]")?.click(),
    p: () => document.querySelector("a[rel=prev]")?.click(),
    l: hold,
    "?": () => help && !help.open && help.showModal(),
    Enter: () => document.querySelector("tr.at a")?.click(),
  };
  if (event.key === "Enter" && event.target !== document.body && event.target.id !== "main") return;
  if (Object.hasOwn(deeds, event.key)) { event.preventDefault(); deeds[event.key](); }
});

outputs();
listen();
