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
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
  mend();
}
