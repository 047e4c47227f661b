// Runs once, when the page has come. SENTENCES are wording.py's, CLIPS those kinds of file that fields.py takes as clips.
() => {
  const instead = SENTENCES, clips = CLIPS;
  // The state of a tab's history lives through a reload: another server then means that this one was restarted.
  const server = window.gradio_config.app_id, before = (history.state || {}).server;
  history.replaceState({ ...history.state, server }, '');
  const mend = () => {
    const notice = document.getElementById('restarted');
    if (notice && before && before !== server) notice.hidden = false;
    // Gradio names its upload buttons twice, by a label and by other words on them: people who speak to their browser
    // say what they read, so the words stay.
    for (const button of document.querySelectorAll('button.upload-container[aria-label]')) {
      if (button.innerText.trim()) button.removeAttribute('aria-label');
    }
    // Gradio's own messages say what happened, but not what to do next.
    for (const text of document.querySelectorAll('[data-testid="toast-text"]')) {
      const found = Object.keys(instead).find((words) => text.textContent.startsWith(words));
      if (found) text.textContent = instead[found];
    }
  };
  // What is pasted, or dropped beside a field or on one that does not take it, goes into the field of the open tab if
  // that takes it, else into its own tab's; the field is emptied first and turned from camera or clipboard to files.
  const shown = (one) => one?.offsetParent;
  const opened = () => ['image', 'video', 'four', 'about'].find((tab) => shown(document.getElementById(`${tab}-tab`)));
  const open = (tab) => {
    // A narrow window has some in a menu; those that are hidden from sight are there for Gradio to measure.
    const buttons = [...document.querySelectorAll('.tab-wrapper button')].filter((one) => !one.closest('.visually-hidden'));
    buttons.find((one) => one.textContent.trim() === { image: 'Image', video: 'Video' }[tab])?.click();
  };
  const isClip = (file) => clips.some((kind) => file.type.startsWith(`${kind}/`) || file.name.toLowerCase().endsWith(kind));
  const home = (file) => {
    const here = opened(), picture = file.type.startsWith('image/');
    if (here === 'four') return here;
    if (here === 'video') return picture && !isClip(file) ? 'image' : here;
    return isClip(file) && !picture ? 'video' : 'image';
  };
  const put = (tab, files, tries) => {
    const field = opened() === tab && [...document.querySelectorAll('.source')].find(shown);
    const input = field && field.querySelector('input[type="file"]');
    if (input) {
      input.files = files;
      input.dispatchEvent(new Event('change', { bubbles: true }));
    } else if (tries) {
      const names = ['Remove Image', 'Clear', 'Upload file'];
      if (field) names.map((name) => field.querySelector(`[aria-label="${name}"]`)).find((one) => one)?.click();
      setTimeout(() => put(tab, files, tries - 1), 100);
    }
  };
  const take = (file) => {
    const wanted = home(file), kept = new DataTransfer();
    if (wanted !== opened()) open(wanted);
    kept.items.add(file);
    put(wanted, kept.files, 50);
  };
  document.addEventListener('paste', (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    take(event.clipboardData.files[0]);
  });
  const holdsFiles = (event) => event.dataTransfer?.types.includes('Files');
  let over;
  document.addEventListener('dragover', (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault(); // else the browser leaves the page for the file
    document.body.classList.add('dragging');
    clearTimeout(over); // it comes several times a second until the file is let go or taken elsewhere
    over = setTimeout(() => document.body.classList.remove('dragging'), 600);
  });
  document.addEventListener('drop', (event) => {
    const [file] = event.dataTransfer?.files ?? [];
    if (!file || (home(file) === opened() && event.target.closest('.upload-container'))) return;
    event.preventDefault();
    event.stopPropagation();
    take(file);
  }, true);
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
  mend();
}
