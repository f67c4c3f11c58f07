// The page of s4 review: a grid sorted by doubt, one picture large, and keys for everything.
import { Stage } from "./canvas.js";

const PAGE = 60, POLL = 3000;
const find = (id) => document.getElementById(id);
const session = sessionStorage.session ||= Math.random().toString(36).slice(2) + Date.now().toString(36);
const state = { classes: [], colours: {}, start: 0, total: 0, cards: [], now: -1, picture: null, tool: "" };
const stage = new Stage(find("stage"), find("lines"), clicked, paint);
const REASONS = {
  margin: "another keyword came close", confidence: "low confidence",
  disagreement: "witnesses disagree", open: "something was left open",
};
const DOUBTS = { "low-score": "low score", unrecognised: "looks like no keyword" };

async function ask(path, body) {
  const options = body ? { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) } : {};
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Start s4 review again, and open the address that it prints.");
  }
  const content = (answer.headers.get("content-type") || "").includes("json") ? await answer.json() : null;
  if (!answer.ok) throw new Error(content?.error || `The server refused (${answer.status}).`);
  return content;
}

let hush;
function say(text, isError = false) {
  const place = find("says");
  place.textContent = text;
  place.classList.toggle("error", isError);
  clearTimeout(hush);
  place.classList.add("shown");
  hush = setTimeout(() => place.classList.remove("shown"), isError ? 8000 : 2500);
}
const guarded = (work) => async (...given) => {
  try { return await work(...given); } catch (error) { say(error.message, true); }
};

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
const dot = (shown) => {
  const element = make("span", { class: `dot ${shown === null ? "unknown" : shown === "" ? "none" : ""}`, "aria-hidden": "true" });
  if (shown) element.style.background = state.colours[shown];
  return element;
};
const named = (shown) => (shown === null ? "unknown" : shown === "" ? "background" : shown);
const query = (more) => new URLSearchParams({ shown: find("shown").value, keyword: find("keyword").value, text: find("text").value.trim(), ...more });
const address = (kind, id, more = {}) => `api/${kind}?${new URLSearchParams({ id, ...more })}`;

function progress(counts) {
  find("bar").max = Math.max(1, counts.pictures);
  find("bar").value = counts.reviewed;
  find("counts").textContent = `${counts.reviewed.toLocaleString("en")} of ${counts.pictures.toLocaleString("en")} reviewed`;
  find("counts").title = `${counts.accepted} accepted, ${counts.rejected} rejected, ${counts.corrected} corrected`;
}

// ---- grid

function card(one) {
  const words = one.keywords.join(", ") || "no keyword";
  const button = make("button", { type: "button", class: "card", "data-id": one.id, tabindex: "-1",
    "aria-label": `${one.id}: ${words}; ${one.state || "not reviewed"}; doubt ${Math.round(one.doubt * 100)} percent, ${REASONS[one.reason]}`,
    title: `${one.id}: ${REASONS[one.reason]}`, onclick: () => open(one.id) });
  const meter = make("i");
  meter.style.width = `${Math.round(one.doubt * 100)}%`;
  button.append(
    make("span", { class: "thumb" },
      make("img", { src: address("thumbnail", one.id), alt: "", loading: "lazy", decoding: "async" }),
      make("img", { src: address("labels", one.id, { small: true, v: one.version }), alt: "", loading: "lazy", decoding: "async" })),
    make("span", { class: "meter" }, meter),
    make("span", { class: "text" },
      make("span", { class: "words" }, words),
      make("span", { class: "line" }, make("span", { class: "id" }, one.id), `${Math.round(one.doubt * 100)} %`)),
    make("span", { class: `badge ${one.state || ""}` }, one.state || ""));
  return button;
}

async function showGrid(start = state.start, focusId = null) {
  const page = await ask(`api/pictures?${query({ start, count: PAGE })}`);
  Object.assign(state, { start: page.start - page.start % PAGE, total: page.total, cards: page.pictures });
  find("grid").replaceChildren(...page.pictures.map((one) => make("li", {}, card(one))));
  find("empty").hidden = page.total > 0;
  find("pages").hidden = page.total <= PAGE;
  const last = page.start + page.pictures.length;
  find("page-number").textContent = page.total ? `${(page.start + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${page.total.toLocaleString("en")}` : "";
  find("page-back").disabled = page.start === 0;
  find("page-on").disabled = last >= page.total;
  progress(page.progress);
  const cards = [...find("grid").querySelectorAll(".card")];
  const chosen = cards.find((one) => one.dataset.id === focusId) || cards[0];
  if (chosen) chosen.tabIndex = 0;
  if (chosen && focusId !== null) chosen.focus();
}
const turnPage = guarded(async (step) => {
  const start = state.start + step * PAGE;
  if (start < 0 || start >= state.total) return;
  await showGrid(start, "");
  window.scrollTo(0, 0);
});

function refreshCard(one) {
  const old = find("grid").querySelector(`[data-id="${CSS.escape(one.id)}"]`);
  if (!old) return;
  const fresh = card(one), had = document.activeElement === old;
  fresh.tabIndex = old.tabIndex;
  old.replaceWith(fresh);
  if (had) fresh.focus();
}

function moveFocus(key) {
  const cards = [...find("grid").querySelectorAll(".card")];
  const here = Math.max(0, cards.indexOf(document.activeElement));
  const columns = cards.filter((one) => one.offsetTop === cards[0].offsetTop).length || 1;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -here, End: cards.length - 1 - here }[key];
  const next = document.activeElement.classList.contains("card") ? cards[here + step] : cards[0];
  if (!next) return;
  cards.forEach((one) => { one.tabIndex = -1; });
  next.tabIndex = 0;
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

// ---- one picture

const open = guarded(async (id, push = true) => {
  const picture = await ask(address("picture", id));
  find("grid-view").hidden = true;
  find("picture-view").hidden = false;
  if (push) history.pushState({ id }, "", `#${encodeURIComponent(id)}`);
  stage.selected = -1;
  find("photo").src = address("large", id);
  choose("select");
  state.brush = picture.keywords[0] ?? null;
  showPicture(picture);
  find("stage").focus({ preventScroll: true });
  window.scrollTo(0, 0);
});

function showPicture(picture) {
  picture.instances.forEach((one) => { one.colour = one.keyword ? state.colours[one.keyword] : "#bbb"; });
  state.picture = picture;
  find("name").textContent = picture.id;
  find("badge").textContent = picture.state || "";
  find("badge").className = `badge ${picture.state || ""}`;
  find("photo").alt = `${picture.id}: ${picture.keywords.join(", ")}`;
  find("overlay").src = address("labels", picture.id, { v: `${picture.version}-${Date.now()}` });
  const parts = Object.entries(picture.doubts).filter(([, value]) => value >= 0.1).sort((a, b) => b[1] - a[1])
    .map(([name, value]) => `${REASONS[name]} (${Math.round(value * 100)} %)`);
  if (picture.missing.length) parts.push(`no instance for ${picture.missing.join(", ")}`);
  if (picture.rule) parts.push(`left open by the rule ${picture.rule}`);
  find("why").textContent = parts.length ? `Doubt: ${parts.join("; ")}.` : "Nothing speaks against these labels.";
  showKeywords();
  showInstances();
  stage.show(picture);
  if (picture.progress) progress(picture.progress);
}

function showKeywords() {
  const { keywords } = state.picture;
  const button = (shown, key) => make("button", { type: "button", "aria-pressed": String(state.brush === shown),
    onclick: () => give(shown) }, dot(shown), named(shown), make("kbd", {}, key));
  find("keywords").replaceChildren(
    ...keywords.map((name, number) => button(name, String(number + 1))), button(null, "0"), button("", "X"),
    make("button", { type: "button", onclick: otherClass }, "Other… ", make("kbd", {}, "K")),
    make("button", { type: "button", onclick: addKeyword }, "Add keyword… ", make("kbd", {}, "N")));
}

function showInstances() {
  const { instances } = state.picture;
  const had = document.activeElement?.closest("#instances") !== null && document.activeElement !== document.body;
  const items = instances.map((one, number) => {
    const facts = [`score ${one.score}`];
    if (one.doubt) facts.push(DOUBTS[one.doubt] || one.doubt);
    else if (one.margin < 0.5) facts.push(`margin ${one.margin}`);
    if (one.corrected) facts.push("by hand");
    return make("li", {}, make("button", { type: "button", class: one.keyword === "" ? "out" : "",
      "aria-pressed": String(number === stage.selected), onclick: () => select(number) },
    dot(one.keyword), make("span", { class: "grow" }, one.keyword === "" && one.left_out && !one.corrected ? `left out (${one.proposed ?? "no keyword"})` : named(one.keyword),
      make("small", {}, facts.join(", "))),
    one.keyword === "" ? make("kbd", {}, "T") : null));
  });
  find("instances").replaceChildren(...items);
  if (!instances.length) find("instances").append(make("li", { class: "quiet" }, "No instance was found. Paint with the brush."));
  if (had && stage.selected >= 0) items[stage.selected]?.firstChild.focus();
}

function select(number) {
  stage.selected = number;
  const one = state.picture.instances[number];
  if (one) {
    if (one.keyword) state.brush = one.keyword;
    say(`Instance ${number + 1} of ${state.picture.instances.length}: ${one.keyword === "" ? "left out" : named(one.keyword)}`);
  }
  showKeywords();
  showInstances();
  stage.draw();
}

function clicked(found) {
  if (!found.length) return select(-1);
  const next = found[(found.indexOf(stage.selected) + 1) % found.length];
  select(next);
  if (state.picture.instances[next].keyword === "" && state.picture.instances[next].left_out) takeIn();
}

const act = guarded(async (id, action, said) => {
  const picture = await ask("api/act", { id, session, ...action });
  if (state.picture?.id === id) showPicture(picture);
  refreshCard(picture);
  progress(picture.progress);
  say(said);
  return picture;
});

async function takeIn() {
  const one = state.picture.instances[stage.selected];
  if (!one) return say("Select an instance first: up and down arrows.");
  const { keywords } = state.picture;
  const keyword = one.proposed ?? (keywords.length === 1 ? keywords[0] : await pick("What does the instance show?"));
  if (keyword) await act(state.picture.id, { do: "assign", instance: one.key, keyword }, `Taken in: ${keyword}`);
}

async function give(shown) {
  state.brush = shown;
  setColour();
  const one = state.picture.instances[stage.selected];
  if (one && stage.tool === "select") {
    await act(state.picture.id, { do: "assign", instance: one.key, keyword: shown }, `Instance ${stage.selected + 1}: ${named(shown)}`);
  } else {
    showKeywords();
    say(`The brush paints ${named(shown)}`);
  }
}

function pick(title) {
  const box = find("choose"), text = find("choose-text");
  find("choose-title").textContent = title;
  text.value = "";
  const fill = () => {
    const wanted = state.classes.filter((name) => name.toLowerCase().includes(text.value.trim().toLowerCase()));
    find("choices").replaceChildren(...wanted.map((name) => make("button", { value: name }, dot(name), name)));
  };
  fill();
  text.oninput = fill;
  text.onkeydown = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    find("choices").querySelector("button")?.click();
  };
  box.returnValue = "";
  box.showModal();
  text.focus();
  return new Promise((done) => box.addEventListener("close", () => done(box.returnValue), { once: true }));
}
async function otherClass() {
  const name = await pick(stage.selected >= 0 ? "What does the instance show?" : "What does the brush paint?");
  if (name) await give(name);
}
async function addKeyword() {
  const keyword = await pick("Add a keyword to the picture");
  if (!keyword) return;
  await act(state.picture.id, { do: "keyword", keyword, on: true }, `Keyword added: ${keyword}`);
}

async function paint(points, radius) {
  const keyword = stage.tool === "eraser" ? "" : state.brush;
  await act(state.picture.id, { do: "paint", keyword, points, radius }, stage.tool === "eraser" ? "Erased" : `Painted: ${named(keyword)}`);
}
function setColour() {
  stage.colour = stage.tool === "eraser" || !state.brush ? "#fff" : state.colours[state.brush];
}
function choose(tool) {
  stage.choose(tool);
  setColour();
  for (const name of ["select", "brush", "eraser"]) find(`tool-${name}`).setAttribute("aria-pressed", String(name === tool));
  if (tool !== "select") say(tool === "brush" ? `Brush: paints ${named(state.brush)}` : "Eraser: paints background");
}
function resize(value) {
  find("size").value = value;
  stage.radius = Number(find("size").value) / 2;
  stage.draw();
}
function toggle() {
  const shown = find("overlay").style.visibility === "hidden";
  find("overlay").style.visibility = find("lines").style.visibility = shown ? "" : "hidden";
  find("toggle").setAttribute("aria-pressed", String(shown));
}

async function decide(verb) {
  const onGrid = find("picture-view").hidden;
  const id = onGrid ? document.activeElement?.dataset?.id : state.picture.id;
  if (!id) return say("Choose a picture first: arrow keys.");
  const done = await act(id, { do: verb }, `${id}: ${verb}ed`);
  if (done && onGrid) moveFocus("ArrowRight");
  else if (done) await go(1, true);
}
const go = guarded(async (step, quiet = false) => {
  const { id } = await ask(`api/neighbour?${query({ id: state.picture.id, step })}`);
  if (id) await open(id);
  else if (!quiet) say(step > 0 ? "This is the last picture." : "This is the first picture.");
});
const undo = guarded(async () => {
  const onGrid = find("picture-view").hidden;
  const picture = await ask("api/undo", { session, id: onGrid ? document.activeElement?.dataset?.id || "" : state.picture.id });
  if (!picture) return say("There is nothing to undo.");
  refreshCard(picture);
  progress(picture.progress);
  if (!onGrid && state.picture.id !== picture.id) await open(picture.id);
  else if (!onGrid) showPicture(picture);
  say(`Undone on ${picture.id}: ${picture.undone}`);
});
const close = guarded(async (push = true) => {
  const id = state.picture?.id;
  state.picture = null;
  find("picture-view").hidden = true;
  find("grid-view").hidden = false;
  if (push) history.pushState({}, "", "#");
  await showGrid(state.start, id ?? "");
});

// ---- keys

function pictureKey(event) {
  const { key } = event, painting = stage.tool !== "select";
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (painting && key in arrows) return stage.nudge(...arrows[key]), true;
  if (painting && key === " ") return stage.pen(), true;
  const count = state.picture.instances.length;
  const keys = {
    ArrowLeft: () => go(-1), ArrowRight: () => go(1),
    ArrowUp: () => count && select((Math.max(stage.selected, 0) - 1 + count) % count),
    ArrowDown: () => count && select((stage.selected + 1) % count),
    v: () => choose("select"), b: () => choose("brush"), e: () => choose("eraser"), o: toggle,
    "[": () => resize(Number(find("size").value) * 0.8), "]": () => resize(Number(find("size").value) * 1.25 + 1),
    k: otherClass, n: addKeyword, t: takeIn, 0: () => give(null), x: () => give(""), Delete: () => give(""),
    Escape: () => (painting ? choose("select") : close()),
  };
  const name = state.picture.keywords[Number(key) - 1];
  const found = keys[key] || (name && /^[1-9]$/.test(key) ? () => give(name) : null);
  if (found) found();
  return Boolean(found);
}
function gridKey(event) {
  const { key } = event;
  if (/^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(key)) return moveFocus(key), true;
  if (key === "PageDown" || key === "PageUp") return turnPage(key === "PageDown" ? 1 : -1), true;
  return false;
}
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") return event.preventDefault(), undo();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input:not([type=range]), select");
  if (typing || (event.target.type === "range" && event.key.startsWith("Arrow"))) return;
  const both = { a: () => decide("accept"), r: () => decide("reject"), u: undo, "?": () => find("help").showModal() };
  if (both[event.key]) return event.preventDefault(), both[event.key]();
  const onButton = event.target.matches("button") && (event.key === " " || event.key === "Enter");
  if (onButton && !(event.key === " " && stage.tool !== "select" && !find("picture-view").hidden)) return;
  if (find("picture-view").hidden ? gridKey(event) : pictureKey(event)) event.preventDefault();
});

// ---- start

const poll = guarded(async () => {
  const changes = await ask(`api/changed?since=${state.now}`);
  const isFirst = state.now < 0;
  state.now = changes.now;
  if (isFirst) return;
  changes.pictures.forEach(refreshCard);
  progress(changes.progress);
  const mine = changes.pictures.find((one) => one.id === state.picture?.id);
  if (mine && mine.version !== state.picture.version && !stage.stroke) {
    const picture = await ask(address("picture", mine.id));
    if (state.picture?.id === picture.id) showPicture(picture);
  }
});
function listen() {
  for (const name of ["shown", "keyword"]) find(name).addEventListener("change", guarded(() => showGrid(0)));
  let wait;
  find("text").addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(guarded(() => showGrid(0)), 200); });
  find("filters").addEventListener("submit", (event) => event.preventDefault());
  const clicks = { "page-back": () => turnPage(-1), "page-on": () => turnPage(1), back: () => close(), before: () => go(-1),
    after: () => go(1), accept: () => decide("accept"), reject: () => decide("reject"), undo, toggle,
    "tool-select": () => choose("select"), "tool-brush": () => choose("brush"), "tool-eraser": () => choose("eraser"),
    "help-button": () => find("help").showModal() };
  for (const [id, work] of Object.entries(clicks)) find(id).addEventListener("click", () => work());
  find("size").addEventListener("input", () => resize(Number(find("size").value)));
  window.addEventListener("popstate", () => route(false));
}
async function route(push) {
  const id = decodeURIComponent(location.hash.slice(1));
  if (id) await open(id, push);
  else await close(push);
}
guarded(async () => {
  const facts = await ask("api/overview");
  state.classes = facts.classes.map((one) => one.name);
  state.colours = Object.fromEntries(facts.classes.map((one) => [one.name, one.colour]));
  find("folder").textContent = `Review ${facts.folder}`;
  document.title = `Review ${facts.folder}`;
  find("keyword").append(...state.classes.map((name) => make("option", { value: name }, name)));
  progress(facts.progress);
  listen();
  await showGrid(0);
  if (location.hash.length > 1) await route(false);
  await poll();
  document.body.dataset.ready = "true";
  setInterval(poll, POLL);
})();
