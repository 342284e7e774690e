"""Templates reach no Python, no host, and none of them can hang or flood: payloads and bounds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.expression.support import still_context

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression.context import RenderContext
from tiercel_engine.expression.limits import OUTPUT_CHARS_MAX
from tiercel_engine.expression.render import Renderer


class Host:
    """An object that got among the variables by mistake."""

    secret = "host secret"

    def method(self) -> str:
        return self.secret


VARIABLES: dict[str, Any] = {
    "s": "text",
    "l": [1, 2],
    "m": {"k": 1},
    "n": 5,
    "f": 1.5,
    "o": Host(),
    "fn": len,
    "cls": Host,
    "t": (1, 2),
    "b": b"x",
}
#: The usual ways out of template engines (Jinja2, Pebble, Twig, Velocity, Freemarker, SpEL, OGNL).
PAYLOADS = [
    "{{ s.__class__ }}",
    "{{ s['__class__'] }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ [].__class__.__base__.__subclasses__() }}",
    "{{ l.__class__.__bases__[0] }}",
    "{{ m.__class__ }}",
    "{{ m.__init__.__globals__ }}",
    "{{ m['__init__']['__globals__'] }}",
    "{{ n.__class__ }}",
    "{{ n.real }}",
    "{{ f.is_integer() }}",
    "{{ o.secret }}",
    "{{ o.method() }}",
    "{{ o.__dict__ }}",
    "{{ o['secret'] }}",
    "{{ o['__class__'] }}",
    "{{ o }}",
    "{{ o ~ '' }}",
    "{{ [o] }}",
    "{{ cls.secret }}",
    "{{ cls() }}",
    "{{ fn(s) }}",
    "{{ fn.__self__ }}",
    "{{ fn.__globals__ }}",
    "{{ t.count(1) }}",
    "{{ b.decode() }}",
    "{{ s.format('{0.__class__}') }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(s) }}",
    "{{ '%s'.__mod__(1) }}",
    "{{ s.format_map(m) }}",
    "{{ s.join(l) }}",
    "{{ s.encode('rot13') }}",
    "{{ s.translate(m) }}",
    "{{ s | attr('__class__') }}",
    "{{ s | map(attribute='__class__') | list }}",
    "{{ s | format('x') }}",
    "{{ ().__class__ }}",
    "{{ self }}",
    "{{ self.__init__.__globals__.__builtins__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ config }}",
    "{{ config.items() }}",
    "{{ request.application.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ url_for.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ __import__('os').system('id') }}",
    "{{ __builtins__ }}",
    "{{ globals() }}",
    "{{ locals() }}",
    "{{ open('/etc/passwd').read() }}",
    "{{ eval('1+1') }}",
    "{{ exec('1') }}",
    "{{ import('os') }}",
    "{% import 'os' as os %}",
    "{% include '/etc/passwd' %}",
    "{% include 'file:///etc/passwd' %}",
    "{% extends '/etc/passwd' %}",
    "{% from 'os' import system %}",
    "{% do s.__class__ %}",
    "{% call fn() %}{% endcall %}",
    "{% python %}import os{% endpython %}",
    "{% debug %}",
    "{% set x.y = 1 %}",
    "{{ s.getClass() }}",
    "{{ s.getClass().forName('java.lang.Runtime') }}",
    "{{ s.class.forName('java.lang.Runtime').getMethods()[6].invoke(null) }}",
    "{{ (1).TYPE.forName('java.lang.Runtime') }}",
    "{{ variable.getClass().forName('java.lang.Runtime').getRuntime().exec('ls -la') }}",
    "{{ beans.get('x') }}",
    "{{ T(java.lang.Runtime).getRuntime().exec('id') }}",
    "{{ new java.lang.ProcessBuilder('id').start() }}",
    "{{ _context }}",
    "{{ m.pop('k') }}",
    "{{ m.clear() }}",
    "{{ m.update(m) }}",
    "{{ m.put('k', 2) }}",
    "{{ l.append(1) }}",
    "{{ l.add(1) }}",
    "{{ l.clear() }}",
    "{{ l.extend(l) }}",
    "{{ (l + l).__add__ }}",
    "{{ loop.__class__ }}",
    "{% for i in l %}{{ loop.__class__ }}{% endfor %}",
    "{% for e in m %}{{ e.__class__ }}{{ e._fields }}{% endfor %}",
    "{% for e in m %}{{ e._asdict() }}{% endfor %}",
    "{% macro x() %}{% endmacro %}{{ x.__globals__ }}",
    "{{ range.__self__ }}",
    "{{ render('{{ s.__class__ }}') }}",
    "{{ m | jq('include \"x\"; .') }}",
    "{{ m | jq('import \"x\" as x; .') }}",
    "{{ m | jq('input_line_number | $__prog_args') }}",
    "{{ yaml('!!python/object/apply:os.system [id]') }}",
    "{{ yaml('!!python/name:os.system') }}",
    "{{ read('/etc/passwd') }}",
    "{{ secret('x') }}",
    "{{ env('PATH').x }}",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_way_out_is_refused(payload: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        Renderer(still_context()).text(payload, VARIABLES)

    assert "host secret" not in str(caught.value)
    assert "<class" not in str(caught.value)


def test_there_are_at_least_fifty_payloads() -> None:
    assert len(set(PAYLOADS)) >= 50


def test_nothing_a_template_does_changes_its_variables() -> None:
    variables = {"l": [3, 1], "m": {"a": 1}}
    template = (
        "{% set l2 = l + 4 %}{{ l | sort }}{{ l | merge([5]) }}{{ m | merge({'b': 2}) }}"
        "{% for x in l %}{% set m = x %}{% endfor %}{% set l = 1 %}"
    )

    Renderer().text(template, variables)

    assert variables == {"l": [3, 1], "m": {"a": 1}}


FLOODS = [
    "{% for a in 1..99999 %}{% for b in 1..99999 %}{% endfor %}{% endfor %}",
    "{{ 1..99999999999 }}",
    "{{ range(1, 9223372036854775807) }}",
    "{% for a in 1..500 %}{{ (1..5000) | length }}{% endfor %}",
    "{% set s = 'xxxxxxxxxx' %}{% for a in 1..60 %}{% set s = s ~ s %}{% endfor %}{{ s }}",
    "{% set s = 'xxxxxxxxxx' %}{% for a in 1..60 %}{% set s = s + s %}{% endfor %}{{ s }}",
    "{% set l = [1, 1] %}{% for a in 1..60 %}{% set l = l + l %}{% endfor %}{{ l }}",
    "{% set l = [1, 1] %}{% for a in 1..60 %}{% set l = [l, l] %}{% endfor %}{{ l }}",
    "{% set l = [1, 1] %}{% for a in 1..60 %}{% set l = [l, l] %}{% endfor %}{{ l ~ '' }}",
    "{% set l = [1, 1] %}{% for a in 1..60 %}{% set l = [l, l] %}{% endfor %}{{ l | yaml }}",
    "{% set l = [1, 1] %}{% for a in 1..60 %}{% set l = [l, l] %}{% endfor %}{{ l | toIon }}",
    *(
        "{% set l = [1, 1] %}{% for a in 1..60 %}{% set l = [l, l] %}{% endfor %}"
        "{% set k = [1, 1] %}{% for a in 1..60 %}{% set k = [k, k] %}{% endfor %}"
        f"{{{{ {expression} }}}}"
        for expression in (
            "l == k",
            "[l] contains [k]",
            "([l]).contains(k)",
            "([l]).indexOf(k)",
            "[l] - [k]",
            "[l, k] | sort",
            "[l, k] | distinct",
            "l isIn [k]",
            "({'a': l}).containsValue(k)",
        )
    ),
    "{{ (1..2000) - (5001..7000) }}",
    "{% set s = 'x' %}{% for a in 1..40 %}"
    "{% set s = s | replace({'x': 'xxxxxxxxxx'}) %}{% endfor %}",
    "{% set s = 'x' %}{% for a in 1..40 %}"
    "{% set s = s | regexReplace('x', 'xxxxxxxxxx') %}{% endfor %}",
    "{{ 'a\nb' | indent(99999999) }}",
    "{{ 'x'.repeat(999999999) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% block b %}{{ block('b') }}{% endblock %}",
    "{{ render(s) }}",
    "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "{{ " + "not " * 5_000 + "true }}",
    "{{ " + "[" * 5_000 + "]" * 5_000 + " }}",
    "{{ " + "1 + " * 5_000 + "1 }}",
    "{{ a" + ".b" * 5_000 + " }}",
    "{{ 1" + " ? 1 : 1" * 5_000 + " }}",
    "{% if true %}" * 5_000 + "{% endif %}" * 5_000,
    '{{ "' + '#{"' * 5_000 + '"}' * 5_000 + '" }}',
    "{{ " + "9" * 5_000 + " }}",
    "{{ ('9' | number('BIGINTEGER')) | numberFormat('" + "0" * 300 + "') }}",
    "{{ '1e999999999' | number }}",
    "{% set n = '9999999999999999999999' | number %}"
    "{% for i in 1..60 %}{% set n = n * n %}{% endfor %}{{ n }}",
    "{{ '2024-01-01' | date('" + "y" * 600 + "') }}",
]  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("template", FLOODS, ids=range(len(FLOODS)))
def test_a_flood_is_stopped(template: str) -> None:
    with pytest.raises(InvalidExpression):
        Renderer().text(template, {"s": "{{ render(s) }}"})


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "call",
    [
        "s | regexMatch('^(a|a)*$')",
        "s | regexExtract('(a|aa)+$')",
        "s | regexReplace('(a|aa)+$', '')",
        "s | replace({'(a|aa)+$': ''}, regexp=true)",
        "s | split('(a|aa)+$')",
        "s.split('(a|aa)+$')",
    ],
)
def test_a_match_without_end_is_stopped(call: str) -> None:
    renderer = Renderer(RenderContext(match_s=0.02))

    with pytest.raises(InvalidExpression, match=r"took longer than 0\.02 s"):
        renderer.text(f"{{{{ {call} }}}}", {"s": "a" * 60 + "!"})


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("regexMatch('^(a+)+$')", "false"),
        ("replace({'(.*)*x': ''}, regexp=true)", "a" * 36 + "!"),
        ("split('(a*)*b') | first", "a" * 36 + "!"),
        ("regexMatch('(?<=a{2,3})!')", "true"),
    ],
)
def test_a_pattern_that_java_takes_is_taken(call: str, text: str) -> None:
    assert Renderer().text(f"{{{{ s | {call} }}}}", {"s": "a" * 36 + "!"}) == text


def test_a_long_output_is_stopped_at_its_bound() -> None:
    chunk = "x" * 100_000
    template = "{% for i in 1..{n} %}{{ c }}{% endfor %}"

    whole = Renderer().text(template.replace("{n}", "100"), {"c": chunk})

    assert len(whole) == OUTPUT_CHARS_MAX
    with pytest.raises(InvalidExpression, match="at most"):
        Renderer().text(template.replace("{n}", "101"), {"c": chunk})


def test_a_render_ends_when_its_time_is_over() -> None:
    checks = iter([False] * 10)
    context = RenderContext(expired=lambda: next(checks, True))

    with pytest.raises(InvalidExpression, match="time to render"):
        Renderer(context).text("{% for i in 1..100 %}{{ i }}{% endfor %}", {})


def test_a_billion_laughs_stay_short() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    with pytest.raises(InvalidExpression):
        Renderer().text("{{ yaml(t) }}", {"t": "\n".join(rows)})


def test_a_list_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)

    for template in (
        "{{ l }}",
        "{{ l ~ '' }}",
        "{{ l | yaml }}",
        "{{ l | toIon }}",
        "{{ render(l) }}",
    ):
        with pytest.raises(InvalidExpression):
            Renderer().text(template, {"l": loop})


def test_forgiving_operators_do_not_forgive_limits() -> None:
    with pytest.raises(InvalidExpression):
        Renderer().text("{{ (1..99999999999) ?? 'x' }}", {})
