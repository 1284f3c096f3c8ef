"use strict";
const main = document.querySelector("main");
const drop = document.getElementById("drop");
const input = document.getElementById("file");
const answers = document.getElementById("answers");

function element(parent, name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  parent.append(made);
  return made;
}

function picture(parent, address, description) {
  const image = element(parent, "img");
  image.alt = description;
  image.src = address;
}

function percent(share) {
  return (100 * share).toFixed(2) + " %";
}

function showClasses(card, predictions) {
  const table = element(card, "table", undefined, "classes");
  element(table, "caption", "Probability of each class, the highest first.");
  const body = element(table, "tbody");
  for (const found of predictions) {
    const row = element(body, "tr");
    const name = element(row, "th", found.class);
    name.scope = "row";
    const track = element(name, "span", undefined, "track");
    element(track, "span", undefined, "bar").style.width = 100 * found.probability + "%";
    element(row, "td", percent(found.probability), "n");
  }
}

function showModule(place, module) {
  const title = element(place, "h3", `Stage ${module.stage}, module ${module.module}`);
  element(title, "span", `: ${module.channels} channels of ${module.width} x ${module.height} points`, "soft");
  const maps = element(place, "div", undefined, "maps");
  for (const map of module.maps) {
    const figure = element(maps, "figure");
    picture(figure, map.picture, `Stage ${module.stage}, module ${module.module}: ${map.title}`);
    const caption = element(figure, "figcaption", map.title);
    const scale = element(caption, "div", undefined, "scale");
    element(scale, "span", map.low);
    element(scale, "i");
    element(scale, "span", map.high);
  }
}

function showMasks(card, modules) {
  const place = element(card, "section", undefined, "masks");
  element(place, "h3", "The masks of its attention modules, drawn over it");
  element(place, "p", "For each module: the mean of its mask over the channels, and the three channels that vary most. " +
    "Each picture has its own scale, from its lowest to its highest value: compare the numbers, not the colours.");
  for (const module of modules) showModule(place, module);
}

function showAnswer(card, name, found) {
  const [best] = found.predictions;
  const title = element(card, "h2");
  element(title, "strong", best.class);
  element(title, "span", `${percent(best.probability)} probable; ${name}`);
  const figure = element(card, "figure");
  picture(figure, found.seen, `The part of ${name} that the network sees`);
  element(figure, "figcaption", "The part that the network sees.");
  showClasses(card, found.predictions);
  if (found.masks.length) showMasks(card, found.masks);
}

function showFault(card, name, text) {
  element(card, "h2", name);
  element(card, "p", text, "fault");
}

function parsed(text) {
  try {
    return JSON.parse(text) || {};
  } catch {
    return {};
  }
}

async function ask(file) {
  if (file.size > Number(main.dataset.maxBytes) - 1000) throw new Error(`${file.name}: the file is too large`);
  const form = new FormData();
  form.append("image", file, file.name);
  const response = await fetch(`predict?pictures=1&top=${main.dataset.top}`, { method: "POST", body: form });
  const answer = parsed(await response.text());
  if (response.ok && answer.images) return answer.images[0];
  const status = `Status ${response.status} ${response.statusText}`.trim();
  throw new Error(answer.error || `${status}: no answer that this page can read. A proxy before the server may have sent it.`);
}

async function classify(file) {
  const card = document.createElement("article");
  card.className = "card answer";
  card.setAttribute("aria-busy", "true");
  element(card, "p", `${file.name}: waiting for the network`);
  answers.prepend(card);
  try {
    const found = await ask(file);
    card.replaceChildren();
    showAnswer(card, file.name, found);
  } catch (fault) {
    card.replaceChildren();
    const lost = fault instanceof TypeError;
    showFault(card, file.name, lost ? "The server does not answer: it may have been stopped." : fault.message);
  }
  card.removeAttribute("aria-busy");
}

async function classifyAll(files) {
  for (const file of files) await classify(file);
}

input.addEventListener("change", () => {
  classifyAll([...input.files]);
  input.value = "";
});

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  classifyAll([...event.dataTransfer.files]);
});
