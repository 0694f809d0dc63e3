// Health strip, alerts, rejects, counters, models.

import { byId, make, makeSign, reconcile, setText } from "./dom.js";
import { known } from "./outcomes.js";
import { duration } from "./stale.js";

// A heartbeat comes every two seconds; younger than this needs no words.
const FRESH_MS = 4000;

/** `since(ageMs)` makes an age that was true at the message's sending true now. */
export function showHealth(state, now) {
  reconcile(byId("health"), state.health, (light) => light.key, makeLight, (item, light) => {
    const age = light.age_ms === null ? null : now(light.age_ms);
    item.dataset.state = light.state;
    setText(item.querySelector(".name"), light.title);
    setText(item.querySelector(".state"), lightWords(light, age));
    item.title = [light.title, light.version, light.state, light.reason, age === null ? "" : `last heard ${duration(age)} ago`]
      .filter(Boolean).join(" · ");
  });
}

function lightWords({ state, reason }, age) {
  if (state === "absent") return "not heard";
  if (state === "silent" || state === "stopping") return `${state} ${duration(age)}`;
  if (state === "ready") return age > FRESH_MS ? `ready · ${duration(age)}` : "ready";
  return reason || state;
}

function makeLight() {
  const item = make("li", "light");
  const words = make("span", "words");
  words.append(make("span", "name"), make("span", "state"));
  item.append(make("span", "lamp"), words);
  return item;
}

const ALERT_TITLES = {
  defects_in_a_row: "Defects in a row",
  defect_rate: "Defect rate",
  camera_silent: "Camera silent",
  model_missing: "Model missing",
  model_orphaned: "Model orphaned",
  latency_over_budget: "Too slow",
  disk_low: "Disk low",
  frames_missed: "Parts missed",
  ledger_failing: "Ledger failing",
};

export function showAlerts(state) {
  const list = byId("alerts");
  list.hidden = state.alerts.length === 0;
  reconcile(list, state.alerts, (alert) => alert.kind, () => {
    const item = make("li");
    item.append(make("strong"), make("span", "detail"), make("time"));
    return item;
  }, (item, alert) => {
    setText(item.children[0], ALERT_TITLES[alert.kind] ?? alert.kind);
    setText(item.children[1], alert.detail);
    setText(item.children[2], `since ${localTime(alert.since)}`);
  });
}

export function showRejects(state, onPick) {
  const list = byId("rejects");
  reconcile(list, state.rejects, (reject) => reject.frame_id, (reject) => makeReject(reject, onPick), (item, reject) => {
    item.dataset.outcome = known(reject.outcome);
    setText(item.querySelector(".tag"), reject.defect_class ?? reject.outcome);
    setText(item.querySelector(".id"), reject.part_id ?? reject.frame_id);
    item.firstElementChild.setAttribute("aria-label", `${reject.outcome}, part ${reject.part_id ?? reject.frame_id}: show it`);
    item.title = [reject.outcome, reject.reason, localTime(reject.captured_at)].filter(Boolean).join(" · ");
    if (reject.stored && item.dataset.stored !== "yes") {
      item.dataset.stored = "yes";
      loadThumbnail(item, reject);
    }
  });
  list.dataset.empty = state.rejects.length ? "no" : "yes";
}

function makeReject(reject, onPick) {
  const item = make("li", "reject");
  const button = make("button");
  button.type = "button";
  button.addEventListener("click", () => onPick(reject.frame_id));
  const caption = make("span", "caption");
  caption.append(makeSign(known(reject.outcome)), make("span", "tag"));
  button.append(make("span", "thumb"), caption, make("span", "id"));
  item.append(button);
  return item;
}

/** The picture, cut so that its first defect is in sight. */
function loadThumbnail(item, { frame_id: frameId, box }) {
  const image = new Image();
  image.alt = "";
  image.addEventListener("load", () => {
    if (box) {
      const [x, y, width, height] = box;
      image.style.objectPosition = `${share(x + width / 2, image.naturalWidth)} ${share(y + height / 2, image.naturalHeight)}`;
    }
    item.querySelector(".thumb").replaceChildren(image);
  });
  image.src = `/api/inspection/${encodeURIComponent(frameId)}/picture`;
}

const share = (part, whole) => `${Math.min(100, (100 * part) / Math.max(1, whole))}%`;

export function showCounters({ counters }) {
  const { outcomes } = counters;
  const tiles = [
    { key: "yield", title: "yield", text: counters.yield_percent === null ? "–" : `${percent(counters.yield_percent)} %` },
    { key: "total", title: "parts", text: counters.total },
    { key: "pass", title: "pass", text: outcomes.pass },
    { key: "fail", title: "fail", text: outcomes.fail },
    { key: "review", title: "review", text: outcomes.review },
    { key: "late", title: "late", text: outcomes.late },
    { key: "missed", title: "missed", text: counters.missed },
    { key: "error", title: "error", text: outcomes.error },
  ];
  reconcile(byId("counters"), tiles, (tile) => tile.key, (tile) => {
    const box = make("div", "tile");
    box.append(make("dt", "", tile.title), make("dd"));
    return box;
  }, (box, tile) => {
    setText(box.lastChild, typeof tile.text === "number" ? tile.text.toLocaleString("en") : tile.text);
    box.dataset.alarm = ["missed", "late", "error"].includes(tile.key) && tile.text > 0 ? "yes" : "no";
  });
}

/** One decimal, and never rounded up to 100. */
function percent(value) {
  return (value < 100 ? Math.min(value, 99.94) : value).toFixed(1);
}

export function showModels(state, now) {
  const list = byId("models");
  list.dataset.empty = state.models.length ? "no" : "yes";
  reconcile(list, state.models, (model) => model.role, () => {
    const item = make("li", "model");
    item.append(make("span", "name"), make("span", "role"), make("code", "identifier"), make("span", "use"));
    return item;
  }, (item, model) => {
    setText(item.children[0], `${model.name} ${model.version}`);
    setText(item.children[1], model.role);
    setText(item.children[2], model.identifier);
    const next = model.successor ? `; ${model.successor} from ${new Date(model.successor_from).toLocaleString()}` : "";
    setText(item.children[3], (model.in_use ? "in use" : "loaded, not used") + next);
    item.dataset.used = model.in_use ? "yes" : "no";
  });
  const event = byId("model-event");
  event.hidden = !state.model_event;
  if (state.model_event) {
    event.dataset.bad = state.model_event.bad ? "yes" : "no";
    setText(event, `${duration(now(state.model_event.age_ms))} ago: ${state.model_event.text}`);
    event.title = state.model_event.text;
  }
}

/** Hours, minutes and seconds where the screen hangs. */
export function localTime(utc) {
  const moment = new Date(utc);
  return Number.isNaN(moment.getTime()) ? "" : moment.toLocaleTimeString("en-GB");
}
