"use strict";
// The SE gates of one scale as a row of bars: `state.pulled[level][map]` is the visitor's number, or NaN.

const Gates = (() => {
  let level = 1, own = [], bars = [], chosen = 0;

  const value = map => Number.isNaN(state.pulled[level]?.[map] ?? NaN) ? own[level][map] : state.pulled[level][map];
  const isPulled = map => !Number.isNaN(state.pulled[level]?.[map] ?? NaN);

  function show(gates) {
    own = gates;
    const scales = gates.flatMap((gate, index) => gate ? [index] : []);
    part("gates-part").hidden = !scales.length;
    if (!scales.length) return;
    if (!scales.includes(level)) level = scales[0];
    if (!part("gate-scales").children.length) makeScales(scales);
    if (bars.length !== gates[level].length) makeBars(gates[level].length);
    bars.forEach(showBar);
    tell();
  }

  function showBar(bar, map) {
    bar.firstChild.style.height = `${50 * value(map)}%`;
    bar.classList.toggle("pulled", isPulled(map));
    bar.setAttribute("aria-label", say("gate", {number: map + 1, count: bars.length}));
    bar.setAttribute("aria-valuenow", value(map).toFixed(2));
    bar.setAttribute("aria-valuetext", valueText(map));
  }

  function valueText(map) {
    const word = !isPulled(map) ? "barOwn" : value(map) ? "barPulled" : "barOff";
    return say(word, {value: value(map).toFixed(2), own: own[level][map].toFixed(2)});
  }

  function tell() {                                                        // about the chosen bar, and all
    const count = state.pulled.reduce((sum, gates) => sum + gates.filter(gate => !Number.isNaN(gate)).length, 0);
    const gate = say("gate", {number: chosen + 1, count: bars.length}), text = valueText(chosen);
    part("gate-value").textContent = `${gate}: ${text}${count ? ` · ${say("pulledCount", {count})}` : ""}`;
    part("gate").value = value(chosen);
    part("gate").setAttribute("aria-label", gate);
    part("gate").setAttribute("aria-valuetext", text);
    part("gates-own").disabled = !count;
  }

  function choose(map) {
    bars.forEach((bar, index) => {
      bar.classList.toggle("chosen", index === map);
      bar.tabIndex = index === map ? 0 : -1;
    });
    chosen = map;
    tell();
  }

  function makeScales(scales) {
    part("gate-scales").append(...scales.map(index => {
      const label = document.createElement("label"), input = document.createElement("input");
      label.className = "choice";
      Object.assign(input, {type: "radio", name: "gate-scale", checked: index === level});
      input.onchange = () => { level = index; bars = []; show(own); };
      label.append(input, `${4 << index}×${4 << index}`);
      return label;
    }));
  }

  function makeBars(count) {
    bars = Array.from({length: count}, (_, map) => {
      const bar = document.createElement("div");
      bar.className = "bar";
      for (const [name, text] of [["role", "slider"], ["aria-orientation", "vertical"], ["aria-valuemin", 0],
                                  ["aria-valuemax", 2]]) bar.setAttribute(name, text);
      bar.append(document.createElement("i"));
      bar.onfocus = () => choose(map);
      bar.onkeydown = event => press(event, map);
      bar.onpointerdown = event => grab(event, bar, map);
      return bar;
    });
    part("bars").replaceChildren(...bars);
    choose(0);
  }

  function set(map, number) {
    state.pulled[level] ??= new Float32Array(bars.length).fill(NaN);
    state.pulled[level][map] = Math.min(2, Math.max(0, number));
    showBar(bars[map], map);
    choose(map);
    change({});
  }

  const toggle = map => set(map, isPulled(map) ? NaN : 0);

  function grab(event, bar, map) {                                         // a drag pulls, a click switches
    if (event.pointerType === "touch") {                                   // a finger's drag is the page's
      bar.onpointerup = () => chosen === map ? toggle(map) : choose(map);
      bar.onpointercancel = () => { bar.onpointerup = null; };
      return;
    }
    const from = event.clientY, {top, height} = bar.getBoundingClientRect();
    let dragged = false;
    bar.setPointerCapture(event.pointerId);
    bar.onpointermove = ({clientY}) => {
      dragged ||= Math.abs(clientY - from) > 3;
      if (dragged) set(map, Math.round(200 * (top + height - clientY) / height) / 100);
    };
    bar.onpointerup = bar.onpointercancel = ({type}) => {
      bar.onpointermove = bar.onpointerup = bar.onpointercancel = null;
      if (!dragged && type === "pointerup") toggle(map);
    };
  }

  function press(event, map) {
    const pull = by => set(map, Math.round(100 * (value(map) + by)) / 100);
    const go = by => bars[(map + by + bars.length) % bars.length].focus();
    const action = {
      ArrowUp: () => pull(0.1), ArrowDown: () => pull(-0.1), PageUp: () => pull(0.5), PageDown: () => pull(-0.5),
      ArrowLeft: () => go(-1), ArrowRight: () => go(1), Home: () => bars[0].focus(), End: () => bars.at(-1).focus(),
      Enter: () => toggle(map), " ": () => toggle(map), Delete: () => set(map, NaN), Backspace: () => set(map, NaN),
    }[event.key];
    if (action) { event.preventDefault(); action(); }
  }

  part("gate").oninput = event => set(chosen, Number(event.target.value));
  part("gates-own").onclick = () => { state.pulled = []; change({}); };
  part("gates-one").onclick = () => { state.pulled[level] = new Float32Array(bars.length).fill(1); change({}); };

  return {show};
})();
