"use strict";
// What the visitor sees and moves. Images come from a worker, so that the page never waits for them.

const part = id => document.getElementById(id);
const read = id => JSON.parse(part(id).textContent);
const WORDS = read("words");
let language = (navigator.language || "en").startsWith("ko") ? "ko" : "en";

function say(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// ---- images: ask({z, pulled, truncation}) promises {images, gates, ms}, made one after the other

const WORKER = `
  let generator;
  onmessage = ({data: {id, weights, request}}) => {
    try {
      if (weights) generator = Generator.load(...weights);
      postMessage({id, answer: weights ? null : Generator.answer(generator, request)});
    } catch (error) { postMessage({id, problem: error.message}); }
  };`;

function startWorker() {
  const code = part("arithmetic").textContent + WORKER;
  const address = URL.createObjectURL(new Blob([code], {type: "text/javascript"}));
  const worker = new Worker(address), waiting = new Map();
  const post = message => new Promise((resolve, reject) => {
    const id = Math.random();
    waiting.set(id, {resolve, reject});
    worker.postMessage({id, ...message});
  });
  worker.onmessage = ({data: {id, answer, problem}}) => {
    const {resolve, reject} = waiting.get(id);
    waiting.delete(id);
    problem ? reject(new Error(problem)) : resolve(answer);
  };
  worker.onerror = event => waiting.forEach(({reject}) => reject(new Error(event.message || "worker")));
  return post;
}

async function startGenerator(header, weights) {                          // to `ask`
  try {
    const post = startWorker();
    await post({weights: [header, weights]});
    return request => post({request});
  } catch (error) {
    if (["cut", "altered"].includes(error.message)) throw error;
    const generator = Generator.load(header, weights);                     // a browser without workers for a file
    return async request => {
      await new Promise(resolve => setTimeout(resolve));
      return Generator.answer(generator, request);
    };
  }
}

// ---- drawing

function paint(canvas, {side, channels, levels}) {
  const pixels = new Uint8ClampedArray(side * side * 4).fill(255);
  for (let p = 0; p < side * side; p++)
    for (let c = 0; c < 3; c++) pixels[4 * p + c] = levels[p * channels + (channels === 3 ? c : 0)];
  canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(new ImageData(pixels, side, side), 0, 0);
}

function paintLarge(canvas, image) {                                       // enlarged, and marked for when it is saved
  const small = document.createElement("canvas"), context = canvas.getContext("2d"), side = canvas.width;
  paint(small, image);
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, side, side);
  context.font = `600 ${side / 28}px system-ui, sans-serif`;
  const mark = say("synthetic"), width = context.measureText(mark).width;
  context.fillStyle = "#000a";
  context.fillRect(0, side - side / 17, width + side / 32, side / 17);
  context.fillStyle = "#fff";
  context.fillText(mark, side / 64, side - side / 56);
}

// ---- the state, and what follows from it

const state = {first: 1, second: 2, position: 0, truncation: 1, pulled: []};
let ask, header, playing = false, drawing = null, again = false, shown = null;

const anySeed = () => Math.floor(Math.random() * 1e6);
const latent = seed => Generator.latents(seed, header.model.latent);
const settings = () => ({pulled: state.pulled, truncation: state.truncation});
const facts = () => ({seed: state.first, second: state.second, percent: Math.round(100 * state.position)});

async function drawOnce() {
  const z = Generator.between(latent(state.first), latent(state.second), state.position);
  shown = await ask({z, ...settings()});
  show();
}

function draw() {                                                          // at once, or after the one under way
  again = drawing !== null;
  drawing ??= drawOnce().catch(tellProblem).finally(() => {
    drawing = null;
    if (again) draw();
  });
  return drawing;
}

function show() {
  const {images, ms} = shown, word = state.position ? "Between" : "";
  paintLarge(part("image"), images[images.length - 1]);
  part("image").setAttribute("aria-label", say("image" + word, facts()));
  part("status").textContent = say("status" + word, {...facts(), ms: Math.round(ms)});
  if (images.length > 1) document.querySelectorAll("#scales canvas").forEach((canvas, i) => paint(canvas, images[i]));
  Gates.show(shown.gates);
}

async function drawEnds() {
  for (const end of ["first", "second"]) {
    part(`${end}-seed`).value = state[end];
    const {images} = await ask({z: latent(state[end]), truncation: state.truncation});
    paint(part(end), images[images.length - 1]);
  }
}

function change(values) {
  const ends = "first" in values || "second" in values || "truncation" in values;
  Object.assign(state, values);
  part("position").value = state.position;
  const drawn = draw();
  return ends ? drawn.then(drawEnds).catch(tellProblem) : drawn;
}

const newRadiograph = () => change({first: anySeed(), position: 0});
const step = by => change({position: Math.min(1, Math.max(0, Math.round(100 * (state.position + by)) / 100))});

async function play() {                                                    // there, and back the next time
  playing = !playing;
  tellPlaying();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches, by = state.position > 0.5 ? -1 : 1;
  while (playing && (by > 0 ? state.position < 1 : state.position > 0)) {
    await step(by * (calm ? 0.1 : 0.02));
    await new Promise(resolve => setTimeout(resolve, calm ? 700 : 20));
  }
  playing = false;
  tellPlaying();
}

function tellPlaying() {
  part("play").setAttribute("aria-pressed", playing);
  part("play").textContent = say(playing ? "stop" : "play");
  part("status").setAttribute("aria-live", playing ? "off" : "polite");  // not fifty sentences
}

function save() {
  const percent = state.position ? `-to-${state.second}-at-${Math.round(100 * state.position)}` : "";
  part("image").toBlob(blob => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `synthetic-${header.model.name}-${state.first}${percent}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

function tellProblem(error) {
  const key = {cut: "problemCut", altered: "problemAltered"}[error.message];
  part("problem").textContent = say(key ?? "problemWrong", {reason: error.message});
  part("problem").hidden = false;
  part("problem").classList.remove("late");
  part("explore").hidden = part("quiz").hidden = true;
}

function translate(to) {
  language = document.documentElement.lang = to;
  const {model, version} = header ?? {model: {}};
  const values = {version, latent: model.latent, side: model.resolution, model: header?.name,
                  count: header?.tensors.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0)
                    .toLocaleString(to)};
  for (const element of document.querySelectorAll("[data-words]"))
    element.textContent = say(element.dataset.words, values);
  for (const element of document.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", say(element.dataset.label, values));
  for (const button of document.querySelectorAll("[data-language]"))
    button.setAttribute("aria-pressed", button.dataset.language === to);
  document.title = say("title");
  placeImage();
  part("lead").hidden = !header;
  tellPlaying();
  Quiz.tell();
  if (shown) show();
}

// ---- beginning

function placeImage() {                                                    // below the notice, which is always in view
  document.documentElement.style.setProperty("--notice", `${part("notice").offsetHeight}px`);
}

function listen() {
  part("new").onclick = part("image").onclick = newRadiograph;
  part("save").onclick = save;
  part("play").onclick = play;
  part("other").onclick = () => change({second: anySeed(), position: Math.max(state.position, 0.5)});
  part("position").oninput = event => change({position: Number(event.target.value)});
  part("truncation").oninput = event => {
    part("truncation-value").textContent = event.target.value;
    change({truncation: Number(event.target.value)});
  };
  for (const end of ["first", "second"])
    part(`${end}-seed`).onchange = ({target}) =>
      change({[end]: Math.min(999999, Math.max(0, Math.trunc(target.value)))});
  addEventListener("resize", placeImage);
  document.addEventListener("contextmenu", event => {                      // saved by the button: large, and marked
    if (event.target.matches("canvas:not(#image)")) event.preventDefault();
  });
  document.addEventListener("keydown", event => {
    const taken = event.key === " " ? "button, input, a, [role=slider]" : "input, [role=slider]";  // have their own
    if (event.target.closest(taken) || event.ctrlKey || event.altKey || event.metaKey) return;
    const action = {" ": newRadiograph, ArrowLeft: () => step(-0.05), ArrowRight: () => step(0.05)}[event.key];
    if (action) { event.preventDefault(); action(); }
  });
}

async function start() {
  for (const button of document.querySelectorAll("[data-language]"))
    button.onclick = () => translate(button.dataset.language);
  try {
    if (!part("end")) throw new Error("cut");
    header = read("header");
    translate(language);
    ask = await startGenerator(header, part("weights").textContent);
    const sides = header.model.name === "sapggan" ? header.model.widths.map((_, level) => 4 << level) : [];
    part("scales-part").hidden = !sides.length;
    part("scales").append(...sides.map(side => {
      const figure = document.createElement("figure"), canvas = document.createElement("canvas");
      canvas.setAttribute("aria-hidden", "true");
      figure.append(canvas, `${side}×${side}`);
      return figure;
    }));
    part("truncation-part").hidden = header.model.name !== "stylegan";
    listen();
    part("problem").hidden = true;
    part("explore").hidden = false;
    await change({first: 1});
    await Quiz.start(read("quiz-images"));
  } catch (error) { translate(language); tellProblem(error); }
}

document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", start) : start();
