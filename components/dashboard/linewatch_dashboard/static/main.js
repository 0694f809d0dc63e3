// Puts the page together: what comes over the link, what the operator does, and four times a second whether it is still live.

import { Ages } from "./clock.js";
import { byId, setText } from "./dom.js";
import { Link } from "./link.js";
import { known } from "./outcomes.js";
import { localTime, showAlerts, showCounters, showHealth, showModels, showRejects } from "./panels.js";
import { Stage } from "./stage.js";
import { duration, staleWords } from "./stale.js";
import { fitWord, showVerdict } from "./verdict.js";
import { decodePictures, unpack } from "./wire.js";

const TICK_MS = 250;
// A wall screen must not stay on an old part because somebody walked away.
const BACK_TO_LIVE_MS = 60_000;

const ages = new Ages();
const stage = new Stage({ stage: byId("stage"), canvas: byId("canvas"), empty: byId("no-picture") });

let connection = "connecting";
let state = null; // the last state message
let stateAt = 0; // when it was sent, on our clock
let newest = null; // the last inspection of the live feed: { header, picture, mask, begin }
let held = null; // the inspection that is held or was picked from the rejects, or null when live
let heldUntil = 0;
let newestBegin = null;

const link = new Link({ onState, onInspection, onTrouble, onOpen: () => ages.reset() });

function onState(message) {
  state = message;
  stateAt = ages.beginOf(message.server_ms, 0);
  newestBegin = message.age_ms === null ? null : ages.beginOf(message.server_ms, message.age_ms);
  setText(byId("station"), message.station);
  showHealth(message, sinceState);
  showAlerts(message);
  showCounters(message);
  showModels(message, sinceState);
  showRejects(message, pick);
  tick();
}

async function onInspection(buffer) {
  try {
    const inspection = unpack(buffer);
    const begin = ages.beginOf(inspection.header.server_ms, inspection.header.age_ms);
    const decoded = await decodeOrSay(inspection);
    closeBitmaps(newest, held);
    newest = { ...decoded, begin };
    if (!held) {
      showInspection(newest);
    }
    tick();
  } finally {
    link.acknowledge();
  }
}

/** A picture that the browser cannot decode is shown as missing, with its verdict: the word matters most. */
async function decodeOrSay(inspection) {
  try {
    return await decodePictures(inspection);
  } catch {
    const header = { ...inspection.header, no_picture: "the picture cannot be decoded" };
    return { header, picture: null, mask: null };
  }
}

function closeBitmaps(old, keep) {
  if (old && old !== keep) {
    old.picture?.close();
    old.mask?.close();
  }
}

function onTrouble(words) {
  connection = words;
  document.body.dataset.connection = words ? "lost" : "ok";
  setText(byId("connection"), words || "connected");
  tick();
}

function showInspection(inspection) {
  stage.show(inspection);
  showVerdict(inspection.header);
  const { verdict } = inspection.header;
  document.title = `${verdict.outcome.toUpperCase()} · ${verdict.station} · linewatch`;
}

const sinceState = (ageMs) => ageMs + performance.now() - stateAt;

function tick() {
  link.check();
  const now = performance.now();
  const shown = held ?? newest;
  const words = held ? "" : staleWords({
    connection,
    state,
    shownAgeMs: newest ? now - newest.begin : null,
    newestAgeMs: newestBegin === null ? null : now - newestBegin,
    behind: Boolean(newest && state && newest.header.sequence < state.sequence),
  });
  document.body.dataset.stale = words ? "yes" : "no";
  byId("stale").hidden = !words;
  setText(byId("stale"), words);
  if (shown) {
    const { verdict } = shown.header;
    setText(byId("when"), `${localTime(verdict.captured_at)}${held ? "" : ` · ${duration(now - shown.begin)} ago`}`);
  }
  if (state) {
    showHealth(state, sinceState);
  }
  tickHeld(now);
}

// --- holding a part, and looking at an earlier one

function tickHeld(now) {
  if (held && now > heldUntil) {
    backToLive();
  }
  document.body.dataset.held = held ? "yes" : "no";
  byId("past-bar").hidden = !held;
  byId("labels").hidden = !held;
  byId("hold").hidden = Boolean(held);
  byId("hold").disabled = !newest;
  if (held) {
    const line = newest && newest !== held ? newest.header.verdict : null;
    const meanwhile = connection || (line ? `line now: ${line.outcome.toUpperCase()} ${line.part_id ?? ""}` : "");
    setText(byId("past"), `NOT LIVE${meanwhile ? ` · ${meanwhile}` : ""}`);
  }
}

function keepHeld(inspection) {
  closeBitmaps(held, newest);
  held = inspection;
  heldUntil = performance.now() + BACK_TO_LIVE_MS;
  notice("");
  offerLabels(inspection.header.verdict);
  showInspection(inspection);
  tick();
}

function backToLive() {
  closeBitmaps(held, newest);
  held = null;
  notice("");
  if (newest) {
    showInspection(newest);
  }
  tick();
}

async function pick(frameId) {
  try {
    const answer = await fetch(`/api/inspection/${encodeURIComponent(frameId)}/message`);
    if (!answer.ok) {
      notice((await answer.json()).error ?? `answer ${answer.status}`, true);
      return;
    }
    const decoded = await decodeOrSay(unpack(await answer.arrayBuffer()));
    keepHeld({ ...decoded, begin: performance.now() });
  } catch (error) {
    notice(`this part cannot be shown: ${error.message}`, true);
  }
}

// --- confirm and overrule

function offerLabels({ outcome, judged }) {
  const said = outcome === "late" ? judged : outcome;
  const sure = said === "pass" || said === "fail";
  setText(byId("confirm"), sure ? `Confirm ${said}` : "Good part");
  setText(byId("overrule"), sure ? `Overrule to ${said === "pass" ? "fail" : "pass"}` : "Bad part");
  byId("confirm").dataset.label = sure ? said : "pass";
  byId("overrule").dataset.label = sure && said === "fail" ? "pass" : "fail";
}

async function label(button) {
  const { verdict } = held.header;
  heldUntil = performance.now() + BACK_TO_LIVE_MS;
  for (const each of [byId("confirm"), byId("overrule")]) each.disabled = true;
  notice("sending …");
  try {
    const answer = await fetch(`/api/inspection/${encodeURIComponent(verdict.frame_id)}/label`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ label: button.dataset.label }),
    });
    const result = await answer.json();
    const part = verdict.part_id ?? verdict.frame_id;
    const refused = result.error ?? (result.accepted ? "" : result.reason || "refused");
    notice(refused ? `not written: ${refused}` : `${part} is labelled ${button.dataset.label}`, Boolean(refused));
  } catch (error) {
    notice(`not written: ${error.message}`, true);
  } finally {
    for (const each of [byId("confirm"), byId("overrule")]) each.disabled = false;
  }
}

function notice(words, bad = false) {
  const box = byId("notice");
  box.hidden = !words;
  box.dataset.bad = bad ? "yes" : "no";
  setText(box, words);
}

// --- the operator's hands

function toggle(button, apply) {
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(on));
  apply(on);
  stage.draw();
}

const toggleMask = () => toggle(byId("mask-button"), (on) => { stage.maskOn = on; });
const toggleBoxes = () => toggle(byId("boxes-button"), (on) => { stage.boxesOn = on; });
const hold = () => newest && !held && keepHeld(newest);

byId("mask-button").addEventListener("click", toggleMask);
byId("boxes-button").addEventListener("click", toggleBoxes);
byId("hold").addEventListener("click", hold);
byId("live").addEventListener("click", backToLive);
byId("confirm").addEventListener("click", (event) => label(event.currentTarget));
byId("overrule").addEventListener("click", (event) => label(event.currentTarget));
byId("opacity").addEventListener("input", (event) => {
  stage.opacity = event.target.value / 100;
  stage.draw();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = { m: toggleMask, b: toggleBoxes, h: hold, Escape: () => held && backToLive() }[event.key];
  if (act) act();
});
window.addEventListener("resize", fitWord);

setInterval(tick, TICK_MS);
tick();
link.open();
