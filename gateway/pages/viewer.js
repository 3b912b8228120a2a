// The viewer's zone, theme and scheme as cookies, whether the page is seen, and whether its session
// has ended: then its socket is refused, and the page leads to the sign-in.
const retraceCookie = (name, value) => {
  document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=31536000; SameSite=Strict`;
};
const retraceTheme = (theme) => { retraceCookie('retrace-theme', theme); location.reload(); };
(() => {
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const wanted = () => ({
    'retrace-zone': Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC',
    'retrace-scheme': dark.matches ? 'dark' : 'light',
  });
  const known = () => Object.entries(wanted()).every(
    ([name, value]) => document.cookie.includes(`${name}=${encodeURIComponent(value)}`));
  const tell = () => {
    if (known()) return;
    Object.entries(wanted()).forEach(([name, value]) => retraceCookie(name, value));
    if (known()) location.reload();  // not where cookies are refused
  };
  tell();
  dark.addEventListener('change', tell);
  const leave = async () => {
    const page = await fetch(location.href, { redirect: 'manual', headers: { Accept: 'text/html' } });
    if (page.type === 'opaqueredirect') location.reload();
  };
  const watch = () => {
    if (window.socket) window.socket.on('connect_error', () => leave().catch(() => {}));
    else setTimeout(watch, 500);
  };
  watch();
  document.addEventListener('visibilitychange', () => {
    if (window.emitEvent) emitEvent('retrace-seen', { visible: !document.hidden });
  });
})();
