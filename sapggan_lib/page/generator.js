"use strict";
// The generators, from a latent vector to images, and what surrounds them. They mirror sapggan_lib/models.
const Generator = (() => {
  const {EPSILON, attend, blank, convolution, convolve, eachPixel, excite, leaky, linear, moments, pixelNorm, toImage} =
    Layers;

  function load(header, base64) {
    const network = build(header, Layers.readTensors(header, base64));
    network.run(latents(0, network.latent));                               // the first image waits for the compiler
    return network;
  }

  // ---- models: build(header, tensors) to run(z, options)

  function build({model, stage}, tensors) {
    const numbers = name => tensors[name]?.numbers;
    const width = level => tensors[`to_image.${level}.weight`].shape[1];
    const dense = (name, gain, rate = 1) => {
      const weight = numbers(`${name}.weight`), ins = tensors[`${name}.weight`].shape[1];
      return {weight, bias: numbers(`${name}.bias`)?.map(b => b * rate), scale: gain / Math.sqrt(ins) * rate};
    };
    const conv = (name, up = false) => {
      const weight = tensors[`${name}.weight`];
      return convolution(weight, numbers(`${name}.bias`), Math.sqrt(2 / (9 * weight.shape[1])), up);
    };
    const attention = name => {
      if (numbers(`${name}.squeeze.weight`))
        return {kind: "se", squeeze: dense(`${name}.squeeze`, Math.SQRT2), excite: dense(`${name}.excite`, 1)};
      if (!numbers(`${name}.gamma`)) return null;
      const layers = {queryKeyValue: dense(`${name}.query_key_value`, 1), out: dense(`${name}.out`, 1)};
      const values = tensors[`${name}.out.weight`].shape[1];
      return {kind: "sagan", ...layers, inner: (layers.queryKeyValue.bias.length - values) / 2,
              gamma: numbers(`${name}.gamma`)[0]};
    };
    const epilogue = name => ({noise: numbers(`${name}.noise`), strength: numbers(`${name}.noise_strength`),
                               style: dense(`${name}.style`, 1)});
    const levels = model.widths.length, network = {model, stage, latent: model.latent};
    network.toImage = Array.from({length: levels}, (_, level) => dense(`to_image.${level}`, 1));
    network.blocks = Array.from({length: levels}, (_, level) => {
      const name = `blocks.${level}`, block = {conv2: conv(`${name}.conv2`), width: width(level)};
      if (level) block.conv1 = conv(`${name}.conv1`, true);
      if (model.name === "stylegan")
        return {...block, constant: numbers(`${name}.constant`), bias: numbers(`${name}.bias`),
                epilogues: [epilogue(`${name}.epilogue1`), epilogue(`${name}.epilogue2`)]};
      if (!level) Object.assign(block, {dense: dense(`${name}.dense`, Math.SQRT2 / 4), bias: numbers(`${name}.bias`)});
      return {...block, attention: attention(`${name}.attention`), place: model.se_place ?? "end"};
    });
    if (model.name === "stylegan") {
      network.mapping = Array.from({length: 8}, (_, i) => dense(`mapping.${i}`, Math.SQRT2, 0.01));
      network.meanStyle = numbers("mean_style");
    }
    network.run = (z, options = {}) => run(network, z, options);
    return network;
  }

  // z to {images: [{side, channels, pixels near -1 to 1}, ...], smallest first, gates: [numbers or null, by level]}.
  // options: pulled [numbers or null, by level], for `excite`; truncation, StyleGAN's.
  function run({model, stage, blocks, toImage: readers, mapping, meanStyle}, z, {pulled = [], truncation = 1}) {
    const images = [], gates = [];
    let x, w = pixelNorm(Float32Array.from(z), z.length);
    if (mapping) {
      for (const layer of mapping) w = leaky(linear(layer, w));
      w = w.map((value, i) => meanStyle[i] + (value - meanStyle[i]) * truncation);
    }
    const last = model.name === "sapggan" ? blocks.length - 1 : stage[0];
    for (let level = 0; level <= last; level++) {
      x = mapping ? styled(blocks[level], x, w) : block(blocks[level], x ?? w, pulled[level], gates);
      if (model.name === "sapggan" || level >= last - 1) images.push(toImage(readers[level], x));
    }
    return {images: model.name === "sapggan" ? images : [blend(images, stage[1])], gates};
  }

  function block({conv1, conv2, dense, bias, attention, place, width}, x, pulled, gates) {
    const attended = y => {
      if (attention) gates.push(attention.kind === "se" ? excite(attention, y, pulled) : attend(attention, y));
      else gates.push(null);
    };
    let y;
    if (conv1) y = convolve(conv1, x);
    else {
      const start = linear(dense, x);
      y = blank(4, width);
      eachPixel(y, (at, p) => { for (let c = 0; c < width; c++) y.data[at + c] = start[c * 16 + p] + bias[c]; });
    }
    leaky(y.data);
    if (place === "between") attended(y);
    pixelNorm(y.data, width);
    y = convolve(conv2, y);
    pixelNorm(leaky(y.data), width);
    if (place === "end") attended(y);
    return y;
  }

  function styled({conv1, conv2, constant, bias, epilogues, width}, x, w) {
    let y;
    if (conv1) y = blur(convolve(conv1, x));
    else {
      y = blank(4, width);
      eachPixel(y, (at, p) => { for (let c = 0; c < width; c++) y.data[at + c] = constant[c * 16 + p] + bias[c]; });
    }
    y = convolve(conv2, epilogue(epilogues[0], y, w));
    return epilogue(epilogues[1], y, w);
  }

  // Noise, leaky ReLU, then each map to mean 0 and variance 1, and to the style's scale and shift.
  function epilogue({noise, strength, style}, x, w) {
    const styles = linear(style, w), n = x.width;
    eachPixel(x, (at, p) => { for (let c = 0; c < n; c++) x.data[at + c] += noise[p] * strength[c]; });
    const [mean, square] = moments({...x, data: leaky(x.data)});
    const factor = mean.map((m, c) => (styles[c] + 1) / Math.sqrt(square[c] - m * m + EPSILON));
    eachPixel(x, at => {
      for (let c = 0; c < n; c++) x.data[at + c] = (x.data[at + c] - mean[c]) * factor[c] + styles[n + c];
    });
    return x;
  }

  function blur(x) {                                                       // [1, 2, 1] x [1, 2, 1] / 16
    const y = blank(x.side, x.width), row = (x.side + 2) * x.width, places = [-1, 0, 1];
    eachPixel(y, at => {
      for (const r of places) for (const c of places) {
        const from = at + r * row + c * x.width, factor = (2 - Math.abs(r)) * (2 - Math.abs(c)) / 16;
        for (let i = 0; i < x.width; i++) y.data[at + i] += x.data[from + i] * factor;
      }
    });
    return y;
  }

  function blend(images, alpha) {                                          // the last, or while it fades in a mixture
    const image = images[images.length - 1], {side, channels, pixels} = image;
    if (alpha < 1) for (let i = 0; i < pixels.length; i++) {
      const p = Math.floor(i / channels), half = Math.floor(p / side >> 1) * (side / 2) + (p % side >> 1);
      const old = images[0].pixels[half * channels + i % channels];
      pixels[i] = old + (pixels[i] - old) * alpha;
    }
    return image;
  }

  // ---- around them

  function levels({pixels}) {                                              // near -1 to 1, to gray levels 0 to 255
    return Uint8ClampedArray.from(pixels, value => (value + 1) * 127.5);
  }

  function latents(seed, n) {                                              // normal numbers of a seed (mulberry32)
    let state = seed >>> 0;
    const uniform = () => {
      state = state + 0x6d2b79f5 | 0;
      let t = Math.imul(state ^ state >>> 15, state | 1);
      t ^= t + Math.imul(t ^ t >>> 7, t | 61);
      return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
    };
    return Float32Array.from({length: n}, () =>
      Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
  }

  function between(first, second, t) {                                     // on the great circle; t from 0 to 1
    const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
    const cosine = dot(first, second) / Math.sqrt(dot(first, first) * dot(second, second));
    const angle = Math.max(1e-3, Math.acos(Math.min(1, Math.max(-1, cosine))));
    const [a, b] = [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
    return first.map((value, i) => a * value + b * second[i]);
  }

  // What the page asks for: images as levels, the network's own gates, and how long it took.
  function answer(network, {z, pulled, truncation}) {
    const started = performance.now(), {images, gates} = network.run(z, {pulled, truncation});
    return {images: images.map(image => ({...image, levels: levels(image)})), gates, ms: performance.now() - started};
  }

  return {answer, between, latents, levels, load};
})();
