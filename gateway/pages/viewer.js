// The viewer's zone and theme as cookies, and whether the page is seen.
const retraceCookie = (name, value) => {
  document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=31536000; SameSite=Strict`;
};
const retraceTheme = (theme) => retraceCookie('retrace-theme', theme);
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
  const known = `retrace-zone=${encodeURIComponent(zone)}`;
  if (!document.cookie.includes(known)) {
    retraceCookie('retrace-zone', zone);
    if (zone !== 'UTC' && document.cookie.includes(known)) location.reload();
  }
  document.addEventListener('visibilitychange', () => {
    if (window.emitEvent) emitEvent('retrace-seen', { visible: !document.hidden });
  });
})();
