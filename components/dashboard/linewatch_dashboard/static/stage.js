// The picture with its mask and boxes on one canvas.

import { setText } from "./dom.js";

// Magenta stands off grey, brown and green parts, and off every colour that a verdict has.
const MASK_RGB = [255, 48, 214];
const CONTOUR_RGB = [255, 235, 252];
// Below a quarter the model is hardly sure that it saw anything; above a half a contour is drawn.
const FAINT = 64;
const SURE = 128;

export class Stage {
  #picture = null;
  #tint = null;
  #header = null;

  constructor({ stage, canvas, empty }) {
    this.stage = stage;
    this.canvas = canvas;
    this.empty = empty;
    this.maskOn = true;
    this.boxesOn = true;
    this.opacity = 0.6;
    new ResizeObserver(() => this.draw()).observe(stage);
  }

  /** Show a decoded inspection: picture and mask of the header's own verdict, or the words why there is none. */
  show({ header, picture, mask }) {
    this.#header = header;
    this.#picture = picture;
    this.#tint = mask ? tinted(mask) : null;
    this.canvas.dataset.frameId = header.verdict.frame_id;
    this.canvas.setAttribute("aria-label", picture ? `picture of part ${header.verdict.part_id ?? header.verdict.frame_id}` : "no picture");
    this.stage.dataset.picture = picture ? "yes" : "no";
    setText(this.empty, header.no_picture || "no picture");
    this.draw();
  }

  draw() {
    const picture = this.#picture;
    this.canvas.hidden = !picture;
    if (!picture) {
      this.canvas.width = this.canvas.height = 0;
      return;
    }
    this.#fit(picture);
    const context = this.canvas.getContext("2d", { alpha: false });
    const { width, height } = this.canvas;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, width, height);
    if (this.maskOn && this.#tint) {
      context.globalAlpha = this.opacity;
      context.drawImage(this.#tint, 0, 0, width, height);
      context.globalAlpha = 1;
    }
    if (this.boxesOn) {
      const scale = width / picture.width;
      drawBoxes(context, this.#header.verdict.defects, scale, this.#pixelRatio());
    }
  }

  #pixelRatio() {
    return Math.min(window.devicePixelRatio || 1, 2);
  }

  /** The canvas as large as the stage allows, in the picture's own proportions and the screen's own pixels. */
  #fit(picture) {
    const { clientWidth, clientHeight } = this.stage;
    const scale = Math.min(clientWidth / picture.width, clientHeight / picture.height);
    const width = Math.max(1, Math.floor(picture.width * scale));
    const height = Math.max(1, Math.floor(picture.height * scale));
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * this.#pixelRatio());
    this.canvas.height = Math.round(height * this.#pixelRatio());
  }
}

/** A grey mask as a coloured, transparent bitmap: the surer the model, the more opaque; sure regions get a contour. */
function tinted(mask) {
  const { width, height } = mask;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(mask, 0, 0);
  const pixels = context.getImageData(0, 0, width, height);
  const { data } = pixels;
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++) grey[i] = data[4 * i];
  for (let i = 0; i < grey.length; i++) {
    const value = grey[i];
    const contour = value >= SURE && onEdge(grey, i, width, height);
    const [red, green, blue] = contour ? CONTOUR_RGB : MASK_RGB;
    data[4 * i] = red;
    data[4 * i + 1] = green;
    data[4 * i + 2] = blue;
    data[4 * i + 3] = contour ? 255 : value >= FAINT ? value : 0;
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function onEdge(grey, i, width, height) {
  const x = i % width;
  const y = (i / width) | 0;
  return (
    x === 0 || y === 0 || x === width - 1 || y === height - 1 ||
    grey[i - 1] < SURE || grey[i + 1] < SURE || grey[i - width] < SURE || grey[i + width] < SURE
  );
}

/** White boxes on a dark rim, each with its class and score, kept inside the picture. */
function drawBoxes(context, defects, scale, ratio) {
  const pad = 3 * ratio;
  context.textBaseline = "middle";
  context.lineJoin = "round";
  for (const defect of defects) {
    const [x, y, width, height] = defect.box.map((value) => value * scale);
    const frame = { x: x - pad, y: y - pad, width: width + 2 * pad, height: height + 2 * pad };
    for (const [colour, line] of [["rgba(0,0,0,.75)", 4 * ratio], ["#ffffff", 2 * ratio]]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.strokeRect(frame.x, frame.y, frame.width, frame.height);
    }
    drawTag(context, `${defect.class.slice(0, 24)} ${defect.score.toFixed(2)}`, frame, 15 * ratio);
  }
}

/** The words above the frame, below it where there is no room; smaller on a picture that is narrower than they are. */
function drawTag(context, text, frame, wantedSize) {
  const font = (pixels) => `600 ${pixels}px system-ui, "Liberation Sans", Arial, sans-serif`;
  context.font = font(wantedSize);
  const wanted = context.measureText(text).width + wantedSize;
  const size = wantedSize * Math.min(1, context.canvas.width / wanted);
  context.font = font(size);
  const width = context.measureText(text).width + size;
  const height = size * 1.5;
  const left = Math.max(0, Math.min(frame.x, context.canvas.width - width));
  const below = Math.min(frame.y + frame.height, context.canvas.height - height);
  const top = frame.y >= height ? frame.y - height : below;
  context.fillStyle = "rgba(0,0,0,.82)";
  context.fillRect(left, top, width, height);
  context.fillStyle = "#ffffff";
  context.fillText(text, left + size / 2, top + height / 2);
}
