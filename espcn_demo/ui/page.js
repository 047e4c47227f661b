// Runs once, when the page has come. SENTENCES and the rest of the wording are wording.py's.
() => {
  const instead = SENTENCES;
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
  // What is pasted goes where it would be dropped: into the field of the tab that is open, which is emptied first and
  // turned from the camera or the clipboard to files.
  const put = (field, files, tries) => {
    const input = field.querySelector('input[type="file"]');
    if (input) {
      input.files = files;
      input.dispatchEvent(new Event('change', { bubbles: true }));
    } else if (tries) {
      const way = ['Remove Image', 'Clear', 'Upload file'].map((name) => field.querySelector(`[aria-label="${name}"]`));
      way.find((button) => button)?.click();
      setTimeout(() => put(field, files, tries - 1), 100);
    }
  };
  document.addEventListener('paste', (event) => {
    const field = [...document.querySelectorAll('.source')].find((one) => one.offsetParent);
    if (!field || !event.clipboardData.files.length) return;
    event.preventDefault();
    const kept = new DataTransfer();
    kept.items.add(event.clipboardData.files[0]);
    put(field, kept.files, 20);
  });
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
  mend();
}
