// The player of two clips in step. A pair of frames is drawn only when both carry the same time stamp (WebCodecs'
// VideoFrame is the frame and its time in one), so the two sides cannot show different frames, however busy the machine.
// Without WebCodecs (plain http from another machine) the newest frame of each side is drawn: at most one apart.
const EXACT = typeof VideoFrame === 'function';
const KEPT = 4; // frames kept a side, waiting for their partner
const LOOSE_AFTER = 2000; // ms of playing without a pair after which the newest frames are drawn, whatever their stamps

function openClip(opened) {
  const life = new AbortController();
  const on = (target, name, handler) => target.addEventListener(name, handler, { signal: life.signal });
  const players = { left: null, right: null };
  const kept = { left: [], right: [] };
  let times = opened.times || Array.from({ length: opened.frames }, (_, index) => index / opened.fps);
  const gap = times.length > 1 ? Math.min(...times.slice(1).map((time, index) => time - times[index])) : 1 / opened.fps;
  const end = times[times.length - 1] + (times.length > 1 ? (times[times.length - 1] - times[0]) / (times.length - 1) : gap);
  let shown = 0, target = null, lastPair = performance.now(), lastJump = 0;
  const self = { playing: false, key, setLeft, setCurve, close, get frame() { return shown; } };

  const middle = (index) => (times[index] + (index + 1 < times.length ? times[index + 1] : end)) / 2;
  function indexAt(seconds) { // the frame on screen at a time
    let low = 0, high = times.length - 1;
    while (low < high) {
      const half = (low + high + 1) >> 1;
      if (times[half] <= seconds + gap / 4) low = half; else high = half - 1;
    }
    return low;
  }

  function forget(name) { while (kept[name].length) kept[name].pop().close(); }

  function grab(name) {
    const video = players[name];
    if (!video || video.readyState < 2 || video.seeking) return;
    let frame;
    try { frame = EXACT ? new VideoFrame(video) : { timestamp: video.currentTime * 1e6, close() {}, clone() { return this; }, video }; }
    catch (error) { return; } // no frame yet: the next callback brings one
    const list = kept[name], last = list[list.length - 1];
    if (last && EXACT && last.timestamp === frame.timestamp) return frame.close();
    list.push(frame);
    if (list.length > KEPT) list.shift().close();
  }

  function pair(anyway) {
    const loose = anyway || !EXACT || (self.playing && performance.now() - lastPair > LOOSE_AFTER);
    if (loose && kept.left.length && kept.right.length) return [kept.left[kept.left.length - 1], kept.right[kept.right.length - 1]];
    for (let index = kept.right.length - 1; index >= 0; index -= 1) {
      const right = kept.right[index];
      const left = kept.left.find((frame) => Math.abs(frame.timestamp - right.timestamp) < gap * 0.25e6);
      if (left) return [left, right];
    }
    return null;
  }

  function side(frame, pixelated, old) {
    if (old && old.frame) old.frame.close();
    const copy = frame.clone(), source = copy.video || copy;
    return { frame: copy, source, width: source.displayWidth || source.videoWidth, height: source.displayHeight || source.videoHeight, pixelated };
  }

  function present(anyway) {
    const match = pair(anyway);
    if (!match) return false;
    const index = indexAt(match[1].timestamp / 1e6);
    if (target !== null && EXACT && index !== target) return false;
    lastPair = performance.now();
    sides.left = side(match[0], opened.left.length ? value.left[choice].pixelated : false, sides.left);
    sides.right = side(match[1], false, sides.right);
    shown = index;
    target = null;
    render();
    tell();
    root.dataset.ready = value.id;
    root.dataset.frame = String(shown);
    return true;
  }

  function tell() {
    ui.seek.value = shown;
    const seconds = times[shown];
    const clock = Math.floor(seconds / 60) + ':' + (seconds % 60).toFixed(2).padStart(5, '0');
    ui.time.textContent = (shown + 1) + ' / ' + times.length + ' · ' + clock;
    ui.seek.setAttribute('aria-valuetext', 'frame ' + (shown + 1) + ' of ' + times.length + ', ' + seconds.toFixed(2) + ' seconds');
    const head = ui.curve.querySelector('line');
    if (head) { const x = end ? seconds / end * 1000 : 0; head.setAttribute('x1', x); head.setAttribute('x2', x); }
  }

  function video(file, muted) {
    const made = document.createElement('video');
    Object.assign(made, { muted, playsInline: true, preload: 'auto', disablePictureInPicture: true, tabIndex: -1 });
    made.src = file.url;
    return made;
  }

  function follow(name) { // one callback a frame while the player lives
    const mine = players[name];
    const step = () => {
      if (life.signal.aborted || players[name] !== mine) return;
      grab(name);
      present();
      if (name === 'right') steer();
      again();
    };
    const again = () => (mine.requestVideoFrameCallback ? mine.requestVideoFrameCallback(step) : setTimeout(step, gap * 500));
    again();
    on(mine, 'seeked', () => retry(0));
    on(mine, 'loadeddata', () => retry(0));
    on(mine, 'error', () => { if (players[name] === mine) problem('This clip cannot be played here: download it, or open the page in another browser.'); });
  }

  function retry(times_) { // a sought frame is sometimes handed over a moment after `seeked`
    if (life.signal.aborted || self.playing) return;
    grab('left');
    grab('right');
    if (present()) return;
    if (times_ < 120) requestAnimationFrame(() => retry(times_ + 1));
    else { target = null; present(true); } // one of the clips has no such frame: better its neighbour than nothing
  }

  function steer() { // keep the left clock on the right one while playing
    const { left, right } = players, rate = Number(ui.speed.value);
    if (!self.playing || left.seeking || right.seeking) return;
    const ahead = left.currentTime - right.currentTime;
    if (Math.abs(ahead) > 0.3 && performance.now() - lastJump > 1000) {
      lastJump = performance.now();
      left.currentTime = right.currentTime;
    } else left.playbackRate = Math.abs(ahead) > gap / 2 ? rate * (ahead > 0 ? 0.9 : 1.1) : rate;
    if (left.paused && !left.ended) left.play().catch(() => {});
  }

  function seek(index) {
    target = Math.min(times.length - 1, Math.max(0, index));
    for (const name of ['left', 'right']) {
      forget(name);
      if (players[name]) players[name].currentTime = middle(target);
    }
    ui.seek.value = target;
  }

  function state(playing) {
    self.playing = playing;
    root.toggleAttribute('data-playing', playing);
    ui.play.setAttribute('aria-label', playing ? 'Pause' : 'Play');
  }

  async function play() {
    if (shown >= times.length - 1) seek(0);
    target = null;
    lastPair = performance.now();
    state(true);
    for (const name of ['left', 'right']) players[name].playbackRate = Number(ui.speed.value);
    await Promise.all(['left', 'right'].map((name) => players[name].play())).catch(() => { if (!life.signal.aborted) pause(); });
  }

  function pause() {
    state(false);
    for (const name of ['left', 'right']) players[name].pause();
    seek(shown); // both to the middle of the frame that is on screen
  }

  function ended() {
    if (!self.playing) return;
    state(false);
    shown = times.length - 1;
    if (ui.loop.getAttribute('aria-pressed') === 'true') play();
    else pause();
  }

  function setLeft(side_) {
    const old = players.left;
    forget('left');
    players.left = side_ ? video(side_.file, true) : video(opened.right.file, true);
    ui.media.append(players.left);
    if (old) { old.pause(); old.removeAttribute('src'); old.load(); old.remove(); }
    follow('left');
    on(players.left, 'loadedmetadata', () => (self.playing ? null : seek(target === null ? shown : target)));
    if (self.playing) on(players.left, 'canplay', () => steer());
  }

  function setCurve(curve) {
    ui.curve.hidden = !curve;
    if (!curve) return;
    const all = curve.series.flatMap((series) => series.values), low = Math.min(...all), high = Math.max(...all), span = high - low || 1;
    const space = 'http://www.w3.org/2000/svg', svg = document.createElementNS(space, 'svg');
    svg.setAttribute('viewBox', '0 0 1000 100');
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', 'PSNR over time of ' + curve.series.map((series) => series.label).join(' and ') + ', ' + low.toFixed(1) + ' to ' + high.toFixed(1) + ' decibels');
    const legend = document.createElement('div');
    legend.className = 'cmp-legend';
    curve.series.forEach((series, number) => {
      const line = document.createElementNS(space, 'polyline');
      line.setAttribute('class', 'cmp-series-' + number);
      line.setAttribute('points', series.values.map((db, index) => (curve.times[index] / end * 1000).toFixed(1) + ',' + (92 - (db - low) / span * 66).toFixed(1)).join(' '));
      svg.append(line);
      const name = document.createElement('b');
      name.className = 'cmp-series-' + number;
      name.textContent = series.label;
      legend.append(name);
    });
    const head = document.createElementNS(space, 'line');
    head.setAttribute('y1', 0);
    head.setAttribute('y2', 100);
    svg.append(head);
    const scales = [['top', high], ['bottom', low]].map(([place, db]) => {
      const text = document.createElement('span');
      text.className = 'cmp-scale cmp-scale-' + place;
      text.textContent = db.toFixed(1) + ' dB';
      return text;
    });
    ui.curve.replaceChildren(svg, legend, ...scales);
    tell();
  }

  function key(event) {
    if (event.key === ',') { if (self.playing) pause(); seek((target === null ? shown : target) - 1); }
    else if (event.key === '.') { if (self.playing) pause(); seek((target === null ? shown : target) + 1); }
    else if ((event.key === ' ' || event.key === 'k') && event.target.tagName !== 'BUTTON') { if (self.playing) pause(); else play(); }
    else return false;
    return true;
  }

  function close() {
    life.abort();
    state(false);
    for (const name of ['left', 'right']) {
      forget(name);
      if (sides[name] && sides[name].frame) sides[name].frame.close();
      if (players[name]) { players[name].pause(); players[name].removeAttribute('src'); players[name].load(); players[name].remove(); }
    }
  }

  ui.seek.max = times.length - 1;
  players.right = video(opened.right.file, ui.sound.getAttribute('aria-pressed') !== 'true');
  ui.media.replaceChildren(players.right);
  follow('right');
  on(players.right, 'ended', ended);
  on(players.right, 'waiting', () => { if (self.playing && players.left) players.left.pause(); });
  setLeft(opened.left[choice]);
  setCurve(opened.curve);
  ui.sound.hidden = !opened.sound;
  on(ui.play, 'click', () => (self.playing ? pause() : play()));
  on(ui.back, 'click', () => key({ key: ',' }));
  on(ui.next, 'click', () => key({ key: '.' }));
  on(ui.seek, 'input', () => { const index = Number(ui.seek.value); if (self.playing) pause(); seek(index); });
  on(ui.loop, 'click', () => ui.loop.setAttribute('aria-pressed', String(ui.loop.getAttribute('aria-pressed') !== 'true')));
  on(ui.sound, 'click', () => {
    players.right.muted = !players.right.muted;
    ui.sound.setAttribute('aria-pressed', String(!players.right.muted));
  });
  on(ui.speed, 'change', () => { for (const name of ['left', 'right']) players[name].playbackRate = Number(ui.speed.value); });
  on(ui.curve, 'click', (event) => {
    const box = ui.curve.getBoundingClientRect();
    if (self.playing) pause();
    seek(indexAt((event.clientX - box.left) / box.width * end));
    ui.wipe.focus({ preventScroll: true, focusVisible: false }); // so that the keys go on from here
  });
  tell();
  return self;
}

watch('value', update);
update();
