"use strict";
// Weights and layers on plain typed arrays, for a page, its worker, and node. They mirror sapggan_lib/models/layers.py.
//
// Feature maps are {side, width, data}: data is [side + 2, side + 2, width], the maps of a pixel beside each other and
// a border of zeros around, so that the window of a convolution is a few contiguous runs of numbers.
const Layers = (() => {
  const SLOPE = 0.2, EPSILON = 1e-8;

  // ---- weights: numbers in base64, and a header that says what they are

  function decode(base64) {
    const text = atob(base64), bytes = new Uint8Array(text.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  function crc32(bytes) {
    const table = Int32Array.from({length: 256}, (_, n) => {
      for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
      return n;
    });
    let crc = -1;
    for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
    return (crc ^ -1) >>> 0;
  }

  const halves = () => Float32Array.from({length: 65536}, (_, bits) => {
    const exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024, sign = bits >> 15 ? -1 : 1;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
  });

  // header: {tensors: [[name, shape], ...], size of a number, 2 or 4, bytes, crc32}. Throws Error "cut" or "altered".
  function readTensors(header, base64) {
    let bytes;
    try { bytes = decode(base64); } catch { throw new Error("cut"); }       // base64 that ends in the middle
    if (bytes.length !== header.bytes) throw new Error("cut");
    if (crc32(bytes) !== header.crc32) throw new Error("altered");
    const {size} = header, values = size === 2 ? halves() : null, view = new DataView(bytes.buffer), tensors = {};
    let at = 0;
    for (const [name, shape] of header.tensors) {
      const numbers = new Float32Array(shape.reduce((a, b) => a * b, 1));
      for (let i = 0; i < numbers.length; i++, at += size)
        numbers[i] = values ? values[view.getUint16(at, true)] : view.getFloat32(at, true);
      tensors[name] = {shape, numbers};
    }
    return tensors;
  }

  // ---- layers

  const blank = (side, width) => ({side, width, data: new Float32Array((side + 2) * (side + 2) * width)});

  function leaky(x) {
    for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] *= SLOPE;
    return x;
  }

  function linear({weight, bias, scale}, x) {                              // [in] to [out]
    return Float32Array.from({length: weight.length / x.length}, (_, o) => {
      let sum = 0;
      for (let i = 0, k = o * x.length; i < x.length; i++) sum += x[i] * weight[k + i];
      return sum * scale + (bias ? bias[o] : 0);
    });
  }

  function pixelNorm(x, width) {                                           // the border's zeros stay zeros
    for (let p = 0; p < x.length; p += width) {
      let power = 0;
      for (let i = p; i < p + width; i++) power += x[i] * x[i];
      const factor = 1 / Math.sqrt(power / width + EPSILON);
      for (let i = p; i < p + width; i++) x[i] *= factor;
    }
    return x;
  }

  // Weights [out, in, 3, 3] as windows to slide: one of 3x3, or after nearest upsampling four of 2x2, one for each
  // place in an output square, whose taps are sums of those that meet the same input pixel. Same numbers, 4/9 of the
  // work. Each window is ordered [out / 4, row, column, in, 4 outputs].
  function convolution({shape: [outs, ins], numbers}, bias, scale, up) {
    const taps = up ? [[[0], [1, 2]], [[0, 1], [2]]] : [[[0], [1], [2]]];  // for each place: input row to kernel rows
    const windows = [];
    for (const [dy, rows] of taps.entries()) for (const [dx, columns] of taps.entries()) {
      const weight = new Float32Array(Math.ceil(outs / 4) * 4 * rows.length * columns.length * ins);
      let at = 0;
      for (let o = 0; o < outs; o += 4) for (const row of rows) for (const column of columns)
        for (let i = 0; i < ins; i++) for (let q = o; q < o + 4; q++, at++) if (q < outs) {
          for (const r of row) for (const c of column) weight[at] += numbers[((q * ins + i) * 3 + r) * 3 + c] * scale;
        }
      windows.push({dy, dx, size: rows.length, weight: Kernel.keep(weight)});
    }
    return {outs, bias, windows, step: up ? 2 : 1};
  }

  function convolve({outs, bias, windows, step}, x) {
    const y = blank(x.side * step, outs), row = (y.side + 2) * outs;
    Kernel.begin(x);
    for (const {dy, dx, size, weight} of windows)
      for (let o = 0; o < outs; o += 4)
        for (let v = 0; v < x.side; v++) for (let u = 0; u < x.side; u += 4) {
          const sums = Kernel.products(x, v + dy, u + dx, size, weight, o * size * size * x.width);
          for (let p = 0; p < 4; p++) {
            const at = (v * step + dy + 1) * row + ((u + p) * step + dx + 1) * outs + o;
            for (let q = 0; q < 4 && o + q < outs; q++) y.data[at + q] = sums[4 * p + q] + bias[o + q];
          }
        }
    return y;
  }

  function toImage({weight, bias, scale}, x) {                             // 1x1: [side, side, channels], no border
    const channels = bias.length, pixels = new Float32Array(x.side * x.side * channels);
    eachPixel(x, (at, p) => {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let i = 0; i < x.width; i++) sum += x.data[at + i] * weight[c * x.width + i];
        pixels[p * channels + c] = sum * scale + bias[c];
      }
    });
    return {side: x.side, channels, pixels};
  }

  function eachPixel(x, visit) {                                           // visit(place in data, number of the pixel)
    for (let v = 0; v < x.side; v++)
      for (let u = 0; u < x.side; u++) visit(((v + 1) * (x.side + 2) + u + 1) * x.width, v * x.side + u);
  }

  function moments(x) {                                                    // of each map: mean, and mean square
    const mean = new Float64Array(x.width), square = new Float64Array(x.width);
    for (let i = 0, c = 0; i < x.data.length; i++, c = c + 1 === x.width ? 0 : c + 1) {
      mean[c] += x.data[i];
      square[c] += x.data[i] * x.data[i];
    }
    return [mean, square].map(sums => sums.map(sum => sum / (x.side * x.side)));
  }

  // Squeeze and excitation. `pulled` holds a number for each map whose gate the visitor decides, else NaN.
  function excite({squeeze, excite}, x, pulled) {
    const hidden = linear(squeeze, moments(x)[0]).map(value => Math.max(0, value));
    const gate = linear(excite, hidden).map(value => 2 / (1 + Math.exp(-value)));
    const used = gate.map((value, c) => pulled && !Number.isNaN(pulled[c]) ? pulled[c] : value);
    for (let p = 0; p < x.data.length; p += x.width) for (let c = 0; c < x.width; c++) x.data[p + c] *= used[c];
    return gate;
  }

  // Attention between all pixels (SAGAN); keys and values are halved by max pooling.
  function attend({inner, queryKeyValue, out, gamma}, x) {
    const projected = toImage(queryKeyValue, x), n = x.side * x.side, width = projected.channels;
    const half = x.side / 2, keys = new Float32Array(half * half * width).fill(-Infinity);
    for (let p = 0; p < n; p++) {
      const k = ((Math.floor(p / x.side) >> 1) * half + (p % x.side >> 1)) * width;
      for (let i = inner; i < width; i++) keys[k + i] = Math.max(keys[k + i], projected.pixels[p * width + i]);
    }
    const mixed = blank(x.side, width - 2 * inner);
    eachPixel(mixed, (at, p) => {
      const scores = new Float64Array(half * half);
      for (let k = 0; k < scores.length; k++)
        for (let i = 0; i < inner; i++) scores[k] += projected.pixels[p * width + i] * keys[k * width + inner + i];
      const top = scores.reduce((a, b) => Math.max(a, b)), weights = scores.map(score => Math.exp(score - top));
      const total = weights.reduce((a, b) => a + b);
      for (let k = 0; k < scores.length; k++)
        for (let i = 0; i < mixed.width; i++)
          mixed.data[at + i] += weights[k] / total * keys[k * width + 2 * inner + i];
    });
    const added = toImage(out, mixed).pixels;
    eachPixel(x, (at, p) => { for (let i = 0; i < x.width; i++) x.data[at + i] += gamma * added[p * x.width + i]; });
    return null;
  }

  return {EPSILON, attend, blank, convolution, convolve, eachPixel, excite, leaky, linear, moments, pixelNorm,
          readTensors, toImage};
})();
