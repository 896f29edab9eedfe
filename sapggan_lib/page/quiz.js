"use strict";
// Real or generated: `images` are base64 pixels of drawn radiographs, the network's training set or of its kind.

const Quiz = (() => {
  let real = [], questions = [], guesses = [];

  function start(images) {
    part("quiz").hidden = false;
    real = images;
    part("quiz-game").hidden = !real.length;
    part("quiz-real").onclick = () => guess(true);
    part("quiz-fake").onclick = () => guess(false);
    part("quiz-again").onclick = begin;
    return real.length ? begin() : tell();
  }

  async function begin() {
    questions = [];
    const {resolution: side, channels} = header.model;
    for (const base64 of real) {
      const levels = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
      questions.push([Math.random(), {side, channels, levels}, true]);
      questions.push([Math.random(), null, false]);
    }
    guesses = [];
    questions.sort(([first], [second]) => first - second);
    await tell();
  }

  function guess(answer) {
    if (guesses.length < questions.length) guesses.push(answer);
    return tell();
  }

  function chance(right, count) {                                          // of a coin to be right as often or more
    let ways = 1, sum = 0;
    for (let k = 0; k <= count; ways = ways * (count - k) / (k + 1), k++) if (k >= right) sum += ways;
    return 100 * sum / 2 ** count;
  }

  async function tell() {
    const count = questions.length, over = guesses.length === count;
    part("quiz-text").textContent = say(count ? "quizText" : "quizNone", {count});
    if (!count) return;
    const right = guesses.filter((answer, i) => answer === questions[i][2]).length;
    const percent = chance(right, count), shownPercent = percent < 1 ? "< 1" : Math.round(percent);
    part("quiz-state").textContent = over ? say("quizResult", {right, count, percent: shownPercent})
      : say("quizState", {number: guesses.length + 1, count});
    part("quiz-real").disabled = part("quiz-fake").disabled = over;
    const question = questions[Math.min(guesses.length, count - 1)];
    if (!question[1]) question[1] = (await ask({z: latent(anySeed())})).images.at(-1);
    if (question === questions[Math.min(guesses.length, count - 1)]) paint(part("quiz-image"), question[1]);
  }

  return {start, tell};
})();
