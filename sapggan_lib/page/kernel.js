"use strict";
// The inner loop of a convolution, where all the time goes: four outputs of four neighbouring pixels at once.
//
// It is written twice, in plain JavaScript and in WebAssembly, whose SIMD is three times as fast; a browser without
// that takes the first. Maps and weights are described in layers.js.
const Kernel = (() => {
  const memory = typeof WebAssembly === "object" ? new WebAssembly.Memory({initial: 1}) : null;
  const sums = new Float32Array(16);                                       // [pixel, output], of the plain loop
  const START = 64;                                                        // of what WebAssembly keeps, behind its sums
  let end = START, numbers = null;

  // ---- WebAssembly, assembled here: (x, skip, run, one, two, three, weight, rows) in bytes, sums to address 0
  const [X, SKIP, RUN, ONE, TWO, THREE, WEIGHT, ROWS, STOP, A, W] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13];
  const get = local => [0x20, local], set = local => [0x21, local], tee = local => [0x22, local];
  const ADD = 0x6a, SUBTRACT = 0x6b, LESS = 0x49, LOOP = [0x03, 0x40], AGAIN_IF = [0x0d, 0], END = 0x0b;
  const number = n => [0x41, n];                                           // an i32 constant below 64
  const LOAD = [0xfd, 0x00, 4, 0], LOAD_FOURFOLD = [0xfd, 0x09, 2, 0], STORE = at => [0xfd, 0x0b, 4, at];
  const MULTIPLY4 = [0xfd, 0xe6, 1], ADD4 = [0xfd, 0xe4, 1];
  const leb = n => n < 128 ? [n] : [n & 127 | 128, ...leb(n >> 7)];
  const sized = bytes => [...leb(bytes.length), ...bytes];
  const name = text => sized([...text].map(letter => letter.charCodeAt(0)));

  function assemble() {
    const accumulate = (sum, place) => [...get(sum), ...place, ...LOAD_FOURFOLD, ...get(W), ...MULTIPLY4, ...ADD4,
                                        ...set(sum)];
    const body = [
      2, 1, 0x7f, 5, 0x7b,                                                 // locals: STOP, and A to A + 3 and W of v128
      ...LOOP,                                                             // each row of the window
      ...get(X), ...get(RUN), ADD, ...set(STOP),
      ...LOOP,                                                             // each number of the run
      ...get(WEIGHT), ...LOAD, ...set(W),
      ...accumulate(A, get(X)),
      ...[ONE, TWO, THREE].flatMap((pixel, i) => accumulate(A + 1 + i, [...get(X), ...get(pixel), ADD])),
      ...get(WEIGHT), ...number(16), ADD, ...set(WEIGHT),
      ...get(X), ...number(4), ADD, ...tee(X), ...get(STOP), LESS, ...AGAIN_IF,
      END,
      ...get(X), ...get(SKIP), ADD, ...set(X),
      ...get(ROWS), ...number(1), SUBTRACT, ...tee(ROWS), ...AGAIN_IF,
      END,
      ...[0, 1, 2, 3].flatMap(i => [...number(0), ...get(A + i), ...STORE(16 * i)]),
      END,
    ];
    return Uint8Array.from([
      0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
      1, ...sized([1, 0x60, ...sized(Array(8).fill(0x7f)), 0]),            // one type: eight i32 to nothing
      2, ...sized([1, ...name("page"), ...name("memory"), 2, 0, 1]),
      3, ...sized([1, 0]),
      7, ...sized([1, ...name("products"), 0, 0]),
      10, ...sized([1, ...sized(body)]),
    ]);
  }

  function compile() {
    try {
      return new WebAssembly.Instance(new WebAssembly.Module(assemble()), {page: {memory}}).exports.products;
    } catch { return null; }
  }

  const compiled = compile();

  function reserve(count, at) {                                            // numbers from address `at` on
    const missing = at + 4 * count - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    if (numbers?.buffer !== memory.buffer) numbers = new Float32Array(memory.buffer);
  }

  // ---- what layers use

  function keep(weight) {                                                  // a window's weights, for the others below
    if (!compiled) return weight;
    reserve(weight.length, end);
    numbers.set(weight, end / 4);
    end += 4 * weight.length;
    return end - 4 * weight.length;
  }

  function begin({data}) {                                                 // the maps that are to be convolved
    if (!compiled) return;
    reserve(data.length, end);
    numbers.set(data, end / 4);
  }

  // The sums [pixel, output] of the pixels from column u of row v on, with the weights from `at` on in those kept.
  function products(x, v, u, size, kept, at) {
    const row = (x.side + 2) * x.width, start = (v * (x.side + 2) + u) * x.width, run = size * x.width;
    if (!compiled) {
      for (let p = 0; p < 4; p += 2) plain(x.data, start + p * x.width, row, run, x.width, kept, at, 4 * p);
      return sums;
    }
    const pixel = 4 * x.width;
    compiled(end + 4 * start, 4 * (row - run), 4 * run, pixel, 2 * pixel, 3 * pixel, kept + 4 * at, size);
    return numbers;
  }

  function plain(data, start, row, run, width, weight, k, to) {            // two pixels: eight sums stay in registers
    let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
    for (let rest = run / width; rest > 0; rest--, start += row)
      for (let i = start, end = start + run; i < end; i++, k += 4) {
        const x = data[i], y = data[i + width];
        const w0 = weight[k], w1 = weight[k + 1], w2 = weight[k + 2], w3 = weight[k + 3];
        a += x * w0; b += x * w1; c += x * w2; d += x * w3;
        e += y * w0; f += y * w1; g += y * w2; h += y * w3;
      }
    sums[to] = a; sums[to + 1] = b; sums[to + 2] = c; sums[to + 3] = d;
    sums[to + 4] = e; sums[to + 5] = f; sums[to + 6] = g; sums[to + 7] = h;
  }

  return {begin, keep, products};
})();
