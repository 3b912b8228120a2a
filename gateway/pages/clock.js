// The clock of a task: it runs in the browser, and what it shows when a button is pressed counts.
const retraceClock = {
  began: null,
  timer: null,
  seconds() { return this.began === null ? 0 : (performance.now() - this.began) / 1000; },
  start(id) {
    this.stop();
    this.began = performance.now();
    const show = () => {
      const face = document.getElementById(id);
      const all = Math.floor(this.seconds());
      if (face) face.textContent = `${Math.floor(all / 60)}:${String(all % 60).padStart(2, '0')}`;
    };
    show();
    this.timer = setInterval(show, 200);
  },
  stop() { clearInterval(this.timer); this.began = null; },
  // What is typed counts, else the clock; never nothing.
  taken(id) {
    const typed = document.getElementById(id)?.value ?? '';
    return typed === '' ? Math.max(0.05, Math.round(this.seconds() * 1000) / 1000) : Number(typed);
  },
};
