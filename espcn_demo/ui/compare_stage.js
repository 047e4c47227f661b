// The stage: two canvases drawn through one view (fit, 1:1, 2:1, pan), the wipe, the difference and the stills.
// Runs as gr.HTML's js_on_load, followed by compare_clip.js; `element`, `props` and `watch` come from Gradio.
const AMPLIFY_DOUBLINGS = 3; // difference times 2^3
const GRAB = 28; // CSS pixels beside the line within which a pointer takes the line and not the picture
const root = element.querySelector('.cmp');
const find = (name) => root.querySelector('.cmp-' + name);
const ui = {};
for (const name of ['stage', 'media', 'left', 'right', 'wipe', 'line', 'tag-left', 'tag-right', 'empty', 'problem', 'transport',
  'back', 'play', 'next', 'seek', 'time', 'loop', 'sound', 'speed', 'curve', 'choice', 'difference', 'full']) ui[name] = find(name);

let value = null; // what Python sent
let sides = { left: null, right: null }; // anything drawImage takes, with its size: {source, width, height, pixelated}
let view = { zoom: 'fit', x: 0.5, y: 0.5 }; // centre as a fraction of the result
let difference = false;
let choice = 0; // which of value.left is shown
let clip = null; // compare_clip.js's player, while a clip is open
const pictures = new Map(); // url -> ImageBitmap

function geometry() {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(ui.stage.clientWidth * ratio));
  const height = Math.max(1, Math.round(ui.stage.clientHeight * ratio));
  const fit = Math.min(width / value.width, height / value.height, 2 * ratio);
  const scale = view.zoom === 'fit' ? fit : Number(view.zoom);
  const place = (centre, size, room) => {
    const full = size * scale;
    if (full <= room) return (room - full) / 2;
    return Math.min(0, Math.max(room - full, room / 2 - centre * full));
  };
  return { ratio, width, height, scale, x: place(view.x, value.width, width), y: place(view.y, value.height, height) };
}

function paint(canvas, side, at, blend) {
  const context = canvas.getContext('2d', { alpha: false });
  if (!blend) {
    if (canvas.width !== at.width) canvas.width = at.width;
    if (canvas.height !== at.height) canvas.height = at.height;
    context.globalCompositeOperation = 'source-over';
    context.fillStyle = '#16181d';
    context.fillRect(0, 0, at.width, at.height);
  }
  if (!side) return;
  // Only what is visible, so that a large picture at 1:1 costs no more than the stage.
  const left = Math.max(0, -at.x / at.scale), top = Math.max(0, -at.y / at.scale);
  const right = Math.min(value.width, (at.width - at.x) / at.scale), bottom = Math.min(value.height, (at.height - at.y) / at.scale);
  const fx = side.width / value.width, fy = side.height / value.height;
  context.globalCompositeOperation = blend || 'source-over';
  context.imageSmoothingEnabled = !(side.pixelated || (at.scale > 1 && view.zoom !== 'fit' && fx === 1));
  context.imageSmoothingQuality = clip && clip.playing ? 'low' : 'high';
  context.drawImage(side.source, left * fx, top * fy, (right - left) * fx, (bottom - top) * fy,
    at.x + left * at.scale, at.y + top * at.scale, (right - left) * at.scale, (bottom - top) * at.scale);
}

function render() {
  if (!value || !sides.right) return;
  const at = geometry();
  root.toggleAttribute('data-zoomed', value.width * at.scale > at.width + 1 || value.height * at.scale > at.height + 1);
  paint(ui.right, sides.right, at);
  if (difference && sides.left) {
    paint(ui.right, sides.left, at, 'difference');
    const context = ui.right.getContext('2d');
    context.globalCompositeOperation = 'lighter';
    for (let times = 0; times < AMPLIFY_DOUBLINGS; times += 1) context.drawImage(ui.right, 0, 0);
  } else {
    paint(ui.left, sides.left, at);
  }
}

let waiting = 0;
function renderSoon() {
  if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; render(); });
}

function setWipe(percent) {
  const at = Math.round(Math.min(100, Math.max(0, percent)) * 10) / 10;
  ui.wipe.value = at;
  ui.wipe.setAttribute('aria-valuetext', Math.round(at) + ' percent of the left side shown');
  ui.line.style.left = at + '%';
  ui.left.style.clipPath = 'inset(0 ' + (100 - at) + '% 0 0)';
}

function setZoom(zoom, x = view.x, y = view.y) {
  view = { zoom, x, y };
  for (const button of root.querySelectorAll('[data-zoom]')) button.setAttribute('aria-pressed', String(button.dataset.zoom === zoom));
  renderSoon();
}

function pan(dx, dy) { // device pixels
  const at = geometry();
  const clamp = (centre, size, room, moved) => {
    const half = room / (2 * size * at.scale);
    return half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, centre - moved / (size * at.scale)));
  };
  view.x = clamp(view.x, value.width, at.width, dx);
  view.y = clamp(view.y, value.height, at.height, dy);
  renderSoon();
}

function label() {
  const left = value && value.left && value.left[choice];
  ui['tag-left'].textContent = left ? left.label : '';
  ui['tag-right'].textContent = !value || !value.right ? '' : difference ? 'Difference × ' + 2 ** AMPLIFY_DOUBLINGS : value.right.label;
  ui.right.setAttribute('aria-label', !value || !value.right ? 'Nothing to compare yet'
    : left ? (difference ? 'Difference between ' + left.label + ' and ' + value.right.label : left.label + ' on the left, ' + value.right.label + ' on the right')
      : value.right.label);
}

function setDifference(on) {
  difference = on && value !== null && value.left.length > 0;
  ui.difference.setAttribute('aria-pressed', String(difference));
  root.toggleAttribute('data-difference', difference);
  label();
  renderSoon();
}

function problem(text) {
  ui.problem.textContent = text || '';
  ui.problem.hidden = !text;
}

async function picture(side) {
  let image = pictures.get(side.file.url);
  if (!image) { // a bitmap is decoded once, an <img> again for its first drawing
    const answer = await fetch(side.file.url);
    if (!answer.ok) throw new Error(answer.statusText);
    image = await createImageBitmap(await answer.blob());
    pictures.set(side.file.url, image);
  }
  return { source: image, width: image.width, height: image.height, pixelated: side.pixelated };
}

async function showStill() {
  const shown = value, left = value.left[choice];
  try {
    const loaded = await Promise.all([left ? picture(left) : null, picture(value.right)]);
    if (shown !== value || left !== value.left[choice]) return; // another result came meanwhile
    [sides.left, sides.right] = loaded;
    render();
    root.dataset.ready = value.id;
  } catch (error) {
    if (shown === value) problem('The picture could not be loaded: it may have been removed by now, so run it again.');
  }
}

function choose(index) {
  choice = index;
  label();
  if (clip) clip.setLeft(value.left[index]);
  else showStill();
}

function fillChoices() {
  ui.choice.replaceChildren(...value.left.map((side, index) => new Option(side.label, String(index), index === choice, index === choice)));
  ui.choice.disabled = value.left.length < 2;
}

function update() {
  const next = props.value && props.value.kind ? props.value : null;
  if (value && next && value.id === next.id && value.kind === next.kind && next.kind !== 'live') { // only more left sides to choose from
    value = next;
    fillChoices();
    if (clip) clip.setCurve(next.curve);
    return;
  }
  if (clip) { clip.close(); clip = null; }
  for (const image of pictures.values()) image.close();
  pictures.clear();
  value = next;
  choice = 0;
  sides = { left: null, right: null };
  problem('');
  root.dataset.kind = next ? next.kind : 'empty';
  delete root.dataset.ready;
  ui.empty.textContent = next ? '' : props.hint || 'The result appears here.';
  for (const name of ['left', 'right']) ui[name].getContext('2d', { alpha: false }).clearRect(0, 0, ui[name].width, ui[name].height);
  for (const control of root.querySelectorAll('.cmp-tools button, .cmp-tools select, .cmp-wipe')) control.disabled = !next || next.kind === 'live';
  if (!next) { setDifference(false); label(); ui.curve.hidden = true; return; }
  if (next.kind !== 'live') fillChoices();
  setDifference(difference && next.left.length > 0);
  setZoom(view.zoom, 0.5, 0.5);
  label();
  show();
  if (next.kind === 'clip') clip = openClip(next);
  else { ui.curve.hidden = true; showStill(); }
}

function show() { // on a phone the result lies below the settings
  const box = ui.stage.getBoundingClientRect();
  if (!box.width || (box.top < innerHeight - 120 && box.bottom > 120)) return;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  root.scrollIntoView({ block: 'start', behavior: calm ? 'auto' : 'smooth' });
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (root.requestFullscreen) root.requestFullscreen().catch(() => root.classList.toggle('cmp-filling'));
  else root.classList.toggle('cmp-filling'); // iPhones have full screen for videos only
}

let drag = null;
ui.stage.addEventListener('pointerdown', (event) => {
  if (!value || value.kind === 'live' || event.button) return;
  const box = ui.stage.getBoundingClientRect();
  const near = Math.abs(event.clientX - box.left - ui.wipe.value / 100 * box.width) <= GRAB;
  const panning = root.hasAttribute('data-zoomed') && (difference || !near);
  if (difference && !panning) return;
  drag = { panning, x: event.clientX, y: event.clientY, wipe: Number(ui.wipe.value) };
  ui.stage.setPointerCapture(event.pointerId);
  ui.wipe.focus({ preventScroll: true, focusVisible: false });
  if (!panning) setWipe((event.clientX - box.left) / box.width * 100);
});
ui.stage.addEventListener('pointermove', (event) => {
  if (!drag) return;
  const box = ui.stage.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  if (!drag.panning) return setWipe((event.clientX - box.left) / box.width * 100);
  pan((event.clientX - drag.x) * ratio, (event.clientY - drag.y) * ratio);
  drag.x = event.clientX;
  drag.y = event.clientY;
});
ui.stage.addEventListener('pointercancel', () => { if (drag) setWipe(drag.wipe); }); // the finger scrolls the page instead
for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) ui.stage.addEventListener(end, () => { drag = null; });
ui.stage.addEventListener('dblclick', (event) => {
  if (!value || value.kind === 'live') return;
  const box = ui.stage.getBoundingClientRect(), at = geometry();
  const point = (offset, start, size) => Math.min(1, Math.max(0, (offset * at.ratio - start) / (size * at.scale)));
  setZoom(view.zoom === 'fit' ? '1' : 'fit', point(event.clientX - box.left, at.x, value.width), point(event.clientY - box.top, at.y, value.height));
});
ui.wipe.addEventListener('input', () => setWipe(Number(ui.wipe.value)));
ui.choice.addEventListener('change', () => choose(Number(ui.choice.value)));
ui.difference.addEventListener('click', () => setDifference(!difference));
ui.full.addEventListener('click', fullScreen);
for (const button of root.querySelectorAll('[data-zoom]')) button.addEventListener('click', () => setZoom(button.dataset.zoom));
root.addEventListener('keydown', (event) => {
  if (!value || value.kind === 'live' || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === 'SELECT') return;
  const move = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (event.shiftKey && move && root.hasAttribute('data-zoomed')) pan(move[0] * 80, move[1] * 80);
  else if (event.key === 'f') fullScreen();
  else if (event.key === 'Escape' && root.classList.contains('cmp-filling')) fullScreen();
  else if (event.key === 'd') setDifference(!difference);
  else if (event.key === '0') setZoom('fit');
  else if (event.key === '1' || event.key === '2') setZoom(event.key);
  else if (clip && clip.key(event)) { /* the player took it */ }
  else return;
  event.preventDefault();
});
new ResizeObserver(renderSoon).observe(ui.stage);
setWipe(50);
