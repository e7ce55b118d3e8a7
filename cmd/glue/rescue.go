package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"glue/mon"
)

func rescueCommand() *cobra.Command {
	var id, data, conf string
	var sure bool
	cmd := &cobra.Command{
		Use:   "rescue --id ID [--data DIR | -c CONF] --yes-i-really-mean-it",
		Short: "Make a new quorum of one monitor after the majority is lost for good",
		Long: "Make a new quorum of one monitor that does not run, after the majority of the\n" +
			"monitors is lost for good. Without --yes-i-really-mean-it it only says what the\n" +
			"store holds. Run it that way for every survivor, and rescue the one with the\n" +
			"highest term and index. Afterwards start that one, and the others anew with\n" +
			"glue mon --join.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := confFile(data, conf)
			if err != nil {
				return err
			}
			if id == "" {
				return errors.New("which monitor has survived? name it with --id")
			}
			c, err := loadConf(conf, "mon", id)
			if err != nil {
				return err
			}
			if err := rescue(c.set.Str("mon_data"), id, sure, cmd.OutOrStdout()); err != nil {
				return err
			}
			return forgetOthers(data, id)
		},
	}
	f := cmd.Flags()
	f.StringVar(&id, "id", "", "the monitor that has survived")
	f.StringVar(&data, "data", "", "folder of a cluster that glue up made")
	f.StringVarP(&conf, "conf", "c", "", "ceph.conf (default /etc/ceph/ceph.conf)")
	f.BoolVar(&sure, "yes-i-really-mean-it", false, "do it")
	return cmd
}

// forgetOthers takes the lost monitors out of what glue up starts, and their folders out of its
// way.
func forgetOthers(data, id string) error {
	if data == "" {
		return nil
	}
	l, err := newLayout(data)
	if err != nil {
		return err
	}
	s, err := loadSpec(l)
	if err != nil {
		return err
	}
	for _, name := range s.Mons {
		dir := l.data("mon." + name)
		if _, err := os.Stat(dir); name == id || err != nil {
			continue
		}
		if err := os.Rename(dir, fmt.Sprintf("%s.lost-%d", dir, time.Now().Unix())); err != nil {
			return err
		}
	}
	s.Mons, s.Joining = []string{id}, nil
	return errors.Join(s.saveConf(l), s.save(l))
}

// rescue says what a survivor holds and what will be lost, and does it if the user is sure.
func rescue(dir, id string, sure bool, out io.Writer) error {
	s, err := mon.Inspect(dir, id)
	if err != nil {
		return fmt.Errorf("%w; it must not run", err)
	}
	fmt.Fprintf(out, "mon.%s of cluster %v\n  log:      term %d, index %d\n  monmap:   epoch %d, "+
		"with %s besides\n  osdmap:   epoch %d\n", id, s.FSID, s.Term, s.Index, s.MonMap,
		or(strings.Join(s.Others, ", "), "nobody"), s.OSDMap)
	if !s.LastLog.IsZero() {
		fmt.Fprintf(out, "  last line of the cluster log: %v\n",
			s.LastLog.Format(time.DateTime))
	}
	if len(s.Others) == 0 {
		fmt.Fprintln(out, "It is the only monitor: start it, there is nothing to rescue.")
		return errors.New("nothing was changed")
	}
	fmt.Fprintf(out, "\nWhat the others acknowledged after that is lost: pools, keys, settings "+
		"and maps that were\nmade since. Another survivor with a higher term or index knows more: "+
		"rescue that one.\nIf %s can still be started, start it instead. After the rescue "+
		"none of the others may\never run with its old data again: move it away, and make it "+
		"anew with glue mon --join.\n\n", strings.Join(s.Others, " or "))
	if !sure {
		return errors.New("nothing was changed; to do it, add --yes-i-really-mean-it")
	}
	if err := mon.Rescue(dir, id); err != nil {
		return err
	}
	fmt.Fprintf(out, "mon.%s is the quorum now. Start it: glue mon --id %s\n", id, id)
	return nil
}

// or is a text, or another when it is empty.
func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
