// The large picture: outlines of the instances, the cursor of the brush, and clicks that become instances or strokes.

export function decode(runs, height, width) {
  // Runs go down the columns, zeros first. The mask lies in rows.
  const mask = new Uint8Array(height * width);
  let place = 0, value = 0;
  for (const run of runs) {
    if (value) for (let i = place; i < place + run; i++) mask[(i % height) * width + Math.floor(i / height)] = 1;
    place += run;
    value ^= 1;
  }
  return mask;
}

export class Stage {
  constructor(element, lines, onClick, onStroke) {
    this.element = element;
    this.lines = lines;
    this.onClick = onClick;
    this.onStroke = onStroke;
    this.tool = "select";
    this.radius = 12;
    this.colour = "#fff";
    this.picture = null;
    this.masks = [];
    this.selected = -1;
    this.cursor = [0.5, 0.5];
    this.stroke = null;
    this.penDown = false;
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    element.addEventListener("pointerup", () => this.up());
    element.addEventListener("pointercancel", () => { this.stroke = null; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(element);
    window.addEventListener("resize", () => this.fit());
  }

  show(picture) {
    this.picture = picture;
    this.masks = picture.instances.map((one) => decode(one.runs, picture.height, picture.width));
    this.areas = this.masks.map((mask) => mask.reduce((sum, value) => sum + value, 0));
    this.outlines = this.masks.map((mask) => outline(mask, picture.height, picture.width));
    this.penDown = false;
    this.stroke = null;
    this.fit();
  }

  fit() {
    if (!this.picture) return;
    const room = this.element.parentElement.clientWidth;
    const below = window.innerWidth < 760 ? window.innerHeight * 0.52 : window.innerHeight - 190;
    const ratio = this.picture.width / this.picture.height;
    const width = Math.min(room, Math.max(220, below) * ratio, this.picture.width * 3);
    this.element.style.width = `${width}px`;
    this.element.style.height = `${width / ratio}px`;
    this.draw();
  }

  choose(tool) {
    this.tool = tool;
    this.penDown = false;
    this.stroke = null;
    this.element.classList.toggle("painting", tool !== "select");
    this.draw();
  }

  at(event) {
    const box = this.element.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  hit([x, y]) {
    // All instances at a place, the smallest first.
    const { width, height } = this.picture;
    const column = Math.min(width - 1, Math.max(0, Math.floor(x * width)));
    const row = Math.min(height - 1, Math.max(0, Math.floor(y * height)));
    return this.masks.map((mask, number) => number).filter((number) => this.masks[number][row * width + column])
      .sort((a, b) => this.areas[a] - this.areas[b]);
  }

  down(event) {
    if (!this.picture || event.button > 0) return;
    this.cursor = this.at(event);
    if (this.tool === "select") return this.onClick(this.hit(this.cursor));
    this.element.setPointerCapture(event.pointerId);
    this.stroke = [this.cursor];
    this.draw();
  }

  move(event) {
    if (!this.picture || this.tool === "select") return;
    this.cursor = this.at(event);
    if (this.stroke && !this.penDown) this.stroke.push(this.cursor);
    this.draw();
  }

  up() {
    if (!this.stroke || this.penDown) return;
    this.finish();
  }

  finish() {
    const points = this.stroke;
    this.stroke = null;
    this.penDown = false;
    if (points && points.length) this.onStroke(points.map(([x, y]) => [round(x), round(y)]), this.share());
    this.draw();
  }

  nudge(dx, dy) {
    // The brush by keyboard: half of its size a step.
    const box = this.element.getBoundingClientRect();
    const step = Math.max(2, this.radius);
    this.cursor = [clamp(this.cursor[0] + dx * step / box.width), clamp(this.cursor[1] + dy * step / box.height)];
    if (this.penDown) this.stroke.push(this.cursor);
    this.draw();
  }

  pen() {
    if (this.penDown) return this.finish();
    this.penDown = true;
    this.stroke = [this.cursor];
    this.draw();
  }

  share() {
    return round(this.radius / this.element.getBoundingClientRect().width);
  }

  draw() {
    if (!this.picture) return;
    const scale = window.devicePixelRatio || 1;
    const width = this.element.clientWidth, height = this.element.clientHeight;
    this.lines.width = Math.round(width * scale);
    this.lines.height = Math.round(height * scale);
    const pen = this.lines.getContext("2d");
    pen.scale(scale, scale);
    const across = width / this.picture.width, down = height / this.picture.height;
    this.picture.instances.forEach((one, number) => {
      if (number === this.selected) return;
      const quiet = one.keyword === "";
      trace(pen, this.outlines[number], across, down, quiet ? [5, 4] : [], "#000a", 3);
      trace(pen, this.outlines[number], across, down, quiet ? [5, 4] : [], quiet ? "#fffc" : one.colour, 1.5);
    });
    if (this.outlines[this.selected]) {
      trace(pen, this.outlines[this.selected], across, down, [], "#000", 6);
      trace(pen, this.outlines[this.selected], across, down, [], "#fff", 3);
    }
    if (this.tool !== "select") this.brush(pen, width, height);
  }

  brush(pen, width, height) {
    if (this.stroke) {
      pen.globalAlpha = 0.6;
      pen.strokeStyle = this.colour;
      pen.lineWidth = this.radius * 2;
      pen.lineCap = pen.lineJoin = "round";
      pen.beginPath();
      this.stroke.forEach(([x, y]) => pen.lineTo(x * width, y * height));
      pen.lineTo(this.stroke.at(-1)[0] * width + 0.01, this.stroke.at(-1)[1] * height);
      pen.stroke();
      pen.globalAlpha = 1;
    }
    for (const [colour, line] of [["#000", 4], ["#fff", 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = line;
      pen.beginPath();
      pen.arc(this.cursor[0] * width, this.cursor[1] * height, this.radius, 0, 7);
      pen.stroke();
    }
  }
}

function outline(mask, height, width) {
  // Edges between a pixel of the mask and one outside, as [x0, y0, x1, y1] with whole runs joined.
  const edges = [];
  for (let y = 0; y <= height; y++) {
    for (let x = 0, start = -1; x <= width; x++) {
      const edge = x < width && !!(y < height && mask[y * width + x]) !== !!(y > 0 && mask[(y - 1) * width + x]);
      if (edge && start < 0) start = x;
      if (!edge && start >= 0) { edges.push([start, y, x, y]); start = -1; }
    }
  }
  for (let x = 0; x <= width; x++) {
    for (let y = 0, start = -1; y <= height; y++) {
      const edge = y < height && !!(x < width && mask[y * width + x]) !== !!(x > 0 && mask[y * width + x - 1]);
      if (edge && start < 0) start = y;
      if (!edge && start >= 0) { edges.push([x, start, x, y]); start = -1; }
    }
  }
  return edges;
}

function trace(pen, edges, across, down, dash, colour, width) {
  pen.setLineDash(dash);
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.lineCap = "round";
  pen.beginPath();
  for (const [x0, y0, x1, y1] of edges) {
    pen.moveTo(x0 * across, y0 * down);
    pen.lineTo(x1 * across, y1 * down);
  }
  pen.stroke();
  pen.setLineDash([]);
}

const round = (value) => Math.round(value * 1e5) / 1e5;
const clamp = (value) => Math.min(1, Math.max(0, value));
