// The verdict's own panel: word, colour, sign, part, reason, score, latency.

import { byId, make, reconcile, setText } from "./dom.js";
import { known, qualifierOf } from "./outcomes.js";

const number = (value, digits = 2) => (typeof value === "number" ? value.toFixed(digits) : "–");

/** Show everything that a header says in words. */
export function showVerdict({ verdict, skipped }) {
  const outcome = known(verdict.outcome);
  byId("verdict").dataset.outcome = outcome;
  byId("sign").setAttribute("href", `#sign-${outcome}`);
  setText(byId("word"), verdict.outcome.toUpperCase());
  setText(byId("qualifier"), qualifierOf(verdict));
  setText(byId("part-id"), verdict.part_id ?? verdict.frame_id);
  setText(byId("reason"), reasonOf(verdict));
  showScore(verdict);
  showLatency(verdict, skipped);
  fitWord();
}

/** The word as large as its panel allows, whatever fonts the device has. */
export function fitWord() {
  const word = byId("word");
  word.style.fontSize = "";
  const panel = byId("verdict");
  const style = getComputedStyle(panel);
  const room = panel.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const size = parseFloat(getComputedStyle(word).fontSize);
  const wanted = word.scrollWidth;
  if (wanted > room && room > 0) {
    word.style.fontSize = `${Math.floor((size * room) / wanted)}px`;
  }
}

function reasonOf(verdict) {
  const more = verdict.defects_total > verdict.defects.length ? ` (${verdict.defects_total} defects in all)` : "";
  if (verdict.reason) {
    return verdict.reason + more;
  }
  const worst = verdict.defects[0];
  return worst ? `${worst.class} ${number(worst.score)}${more}` : "";
}

function showScore({ score, threshold }) {
  const there = typeof score === "number";
  const box = byId("score");
  box.dataset.there = there ? "yes" : "no";
  box.style.setProperty("--score", there ? score : 0);
  box.style.setProperty("--limit", typeof threshold === "number" ? threshold : 0);
  box.dataset.limit = typeof threshold === "number" ? "yes" : "no";
  box.dataset.over = there && typeof threshold === "number" && score >= threshold ? "yes" : "no";
  setText(byId("score-value"), there ? `score ${number(score)}` : "no score");
  const sign = box.dataset.over === "yes" ? "≥" : "<";
  setText(byId("score-threshold"), there && typeof threshold === "number" ? `${sign} ${number(threshold)} threshold` : "");
  box.setAttribute("aria-label", `${byId("score-value").textContent} ${byId("score-threshold").textContent}`);
}

function showLatency({ timings_ms: timings }, skipped) {
  const stages = Object.entries(timings).filter(([name]) => name !== "total");
  const sum = stages.reduce((total, [, ms]) => total + ms, 0);
  const total = timings.total ?? (sum || null);
  setText(byId("latency-total"), total === null ? "–" : `${number(total, total < 10 ? 1 : 0)} ms`);
  const words = stages.map(([name, ms]) => `${name} ${number(ms, 1)}`).join(" · ");
  setText(byId("latency-stages"), words);
  const lost = skipped ? ` (${skipped} inspections were not shown on this screen)` : "";
  byId("latency-stages").title = words + lost;
  reconcile(
    byId("stages"),
    stages.map(([name, ms], index) => ({ name, ms, index })),
    ({ name }) => name,
    () => make("div", "stage-bar"),
    (bar, { ms, index }) => {
      bar.style.flexGrow = Math.max(ms, 0.001);
      bar.dataset.index = index % 6;
    },
  );
}
