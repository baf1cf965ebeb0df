import { expect, test } from 'vitest';
import { renderPage } from '../../src/measure/html-page.js';

test('the page holds everything it needs and lets no text out of its place', () => {
  const html = renderPage({
    title: 'a </title><script>alert(1)</script>',
    subtitle: 's',
    facts: [['<b>', '</script>']],
    charts: [{ title: 't', unit: 'u', kind: 'line', x: [0, 1], lines: [{ label: 'l', values: [1, null] }] }],
    marks: [{ label: 'm', atSeconds: 0.5 }],
    data: { text: '</script><script>alert(2)</script>' },
  });
  expect(html).not.toContain('<script>alert');
  expect(html).not.toMatch(/(src|href)=/);
  const data = /<script id="report" type="application\/json">(.*?)<\/script>/s.exec(html)![1]!;
  expect(JSON.parse(data)).toEqual({ text: '</script><script>alert(2)</script>' });
  expect(html).toContain('uPlot');
});
