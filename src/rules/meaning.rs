//! What a rule's memory means: hashes over the text of the keys that give it its meaning, so that a
//! reload keeps what still means the same. Blanks and comments do not count.

use aws_lc_rs::digest;

use crate::rules::sites::Sites;

/// The text that stands behind a key of a rule's map, from `(line, column)` of the key to the comma or
/// brace that ends it, without blanks and comments.
pub(crate) fn text(source: &str, at: (usize, usize)) -> String {
    let lines = source.split_inclusive('\n').skip(at.0.saturating_sub(1));
    let mut rest = lines.flat_map(str::chars).skip(at.1.saturating_sub(1)).peekable();
    let mut found = String::new();
    let mut depth = 0usize;
    while let Some(letter) = rest.next() {
        match letter {
            ',' | ')' | ']' | '}' if depth == 0 => break,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '"' | '`' | '\'' => {
                found.push(letter);
                quoted(&mut rest, letter, &mut found);
                continue;
            }
            '/' if rest.peek() == Some(&'/') => {
                while rest.next_if(|letter| *letter != '\n').is_some() {}
                continue;
            }
            '/' if rest.peek() == Some(&'*') => {
                comment(&mut rest);
                continue;
            }
            _ => {}
        }
        if !letter.is_whitespace() {
            found.push(letter);
        }
    }
    found
}

fn quoted(rest: &mut impl Iterator<Item = char>, quote: char, found: &mut String) {
    while let Some(letter) = rest.next() {
        found.push(letter);
        if letter == '\\' && quote != '`' {
            found.extend(rest.next());
        } else if letter == quote {
            return;
        }
    }
}

fn comment(rest: &mut impl Iterator<Item = char>) {
    let mut before = ' ';
    for letter in rest {
        if before == '*' && letter == '/' {
            return;
        }
        before = letter;
    }
}

/// A hash over these texts.
pub(crate) fn hash_of(texts: &[&str]) -> u64 {
    let mut context = digest::Context::new(&digest::SHA256);
    for text in texts {
        context.update(text.as_bytes());
        context.update(&[0]);
    }
    context.finish().as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// A hash over the texts of these keys of one rule, and over what else they depend on.
pub(crate) fn hash(
    source: &str,
    sites: &Sites,
    call: rhai::Position,
    keys: &[&str],
    around: &str,
) -> u64 {
    let mut context = digest::Context::new(&digest::SHA256);
    for key in keys {
        let Some(at) = sites.key(call, key) else { continue };
        context.update(text(source, crate::rules::sites::spot(at)).as_bytes());
        context.update(&[0]);
    }
    context.update(around.as_bytes());
    context.finish().as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_key_ends_with_its_value() {
        let source = "rule(\"a\", #{\n  when: |e| e.x in [1, 2] /* , */ && e.y == \"a, }\", // no\n  per: |e| `${e.a},x` });";
        let expect = [((2, 3), "when:|e|e.xin[1,2]&&e.y==\"a, }\""), ((3, 3), "per:|e|`${e.a},x`")];
        for (at, wanted) in expect {
            assert_eq!(text(source, at), wanted);
        }
    }
}
