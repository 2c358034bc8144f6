// HTML as a value: whatever goes into it is escaped, unless it was made here.

export type Html = { readonly html: string };
export type Content = Html | string | number | null | undefined | readonly Content[];

/** html`<p>${text}</p>`: text is escaped, lists are joined, nothing stands for null and undefined. */
export function html(fixed: TemplateStringsArray, ...values: readonly Content[]): Html {
  return { html: fixed.map((text, i) => `${text}${i < values.length ? textOf(values[i]) : ''}`).join('') };
}

function textOf(value: Content): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string' || typeof value === 'number') return escape(String(value));
  return 'html' in value ? value.html : value.map(textOf).join('');
}

function escape(text: string): string {
  const signs: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  // a control character is no HTML at all
  const printable = text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '\ufffd');
  return printable.replace(/[&<>"']/g, sign => signs[sign] ?? '');
}
