package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// progress says where a job stands: on a terminal in one line that is rewritten, elsewhere in a line per change.
type progress struct {
	w     io.Writer
	width func() int  // nil: w is no terminal
	text  string      // what was shown last
	steps jobProgress // of the bar before the text
	drawn int         // characters that stand in the rewritten line
}

// show replaces the text; the same text again writes nothing.
func (p *progress) show(text string) {
	text = oneLine(text)
	if text == p.text {
		return
	}
	p.text = text
	if p.width == nil {
		fmt.Fprintf(p.w, "weft: %s\n", text)
		return
	}
	p.draw()
}

// job shows where a job stands; text: what to say of it.
func (p *progress) job(j job, text string) {
	if p.width != nil && j.Progress != p.steps {
		p.steps, p.text = j.Progress, "" // the bar is drawn anew
	}
	p.show(text)
}

// bar is how far a job has come, "" where that is not known.
func (s jobProgress) bar() string {
	const width = 10
	if s.Planned <= 0 {
		return ""
	}
	n := min(width, max(0, s.Done)*width/s.Planned)
	return "[" + strings.Repeat("#", n) + strings.Repeat("-", width-n) + "] "
}

// say writes lines that stay, above the rewritten one.
func (p *progress) say(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
	if p.width != nil && p.text != "" {
		p.draw()
	}
}

// ask writes a question and leaves the cursor behind it.
func (p *progress) ask(question string) {
	p.clear()
	fmt.Fprint(p.w, question+" ")
	p.text = ""
}

// clear wipes the rewritten line.
func (p *progress) clear() {
	if p.drawn > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.drawn))
		p.drawn = 0
	}
}

// draw writes the line over the one before. It uses no escape sequences, which not every terminal knows.
func (p *progress) draw() {
	line := "weft: " + p.steps.bar() + p.text
	// A line as wide as the terminal would wrap, and could not be rewritten.
	if runes, most := []rune(line), p.width()-1; len(runes) > most {
		line = string(runes[:max(0, most-1)]) + "…"
	}
	n := utf8.RuneCountInString(line)
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, p.drawn-n)))
	p.drawn = max(n, 1)
}

// standing is one line on a job: what it computes, where it stands, whom it waits for.
func standing(j job) string {
	s := j.Detail
	if s == "" {
		s = j.State
	}
	var missing []string
	for _, name := range j.Waiting {
		if !strings.Contains(s, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		s += "; waiting for " + strings.Join(missing, ", ")
	}
	if j.Attempt > 1 {
		s += fmt.Sprintf(" (attempt %d of %d)", j.Attempt, j.Attempts)
	}
	return j.Microprotocol + ": " + s
}
