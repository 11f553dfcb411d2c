package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wan is a network of its own: a network namespace per site, and between any two of them a line with delay and loss, of
// packets and not of bytes, so that TCP sees what it sees on a real one. It is a router in user space over one TUN device
// per namespace. It needs root.
type wan struct {
	delay time.Duration // one way
	loss  float64       // of packets, 0 to 1
	sites map[string]*site

	mu    sync.Mutex
	rnd   *rand.Rand
	count struct{ carried, lost int }
}

// site is a namespace with one address.
type site struct {
	space   string // name of the namespace
	ip      net.IP
	tun     *os.File
	packets chan parcel // on their way to this site
}

// newWAN makes the namespaces and begins to carry packets. Everything is gone after the test.
func newWAN(t testing.TB, delay time.Duration, loss float64, seed uint64, names ...string) (*wan, error) {
	w := &wan{delay: delay, loss: loss, sites: map[string]*site{}, rnd: rand.New(rand.NewPCG(seed, 0))}
	for i, name := range names {
		s := &site{
			space: fmt.Sprintf("weft-%d-%s", os.Getpid(), name), ip: net.IPv4(10, 77, 0, byte(i+1)).To4(),
			packets: make(chan parcel, 1<<14),
		}
		device := fmt.Sprintf("weft%d-%d", os.Getpid()%1_000_000, i)
		if err := ip("netns", "add", s.space); err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = ip("netns", "del", s.space) })
		var err error
		if s.tun, err = openTUN(device); err != nil {
			return nil, err
		}
		t.Cleanup(func() { s.tun.Close() })
		for _, args := range [][]string{
			{"link", "set", device, "netns", s.space},
			{"-n", s.space, "address", "add", s.ip.String() + "/24", "dev", device},
			{"-n", s.space, "link", "set", "lo", "up"},
			{"-n", s.space, "link", "set", device, "up"},
		} {
			if err := ip(args...); err != nil {
				return nil, err
			}
		}
		w.sites[name] = s
	}
	for _, s := range w.sites {
		go w.read(s)
		go s.write()
	}
	return w, nil
}

// ip runs the program of that name, of iproute2.
func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %q: %w: %s", args, err, out)
	}
	return nil
}

// openTUN makes a device for IP packets without headers of its own.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(request)))
		if e != 0 {
			err = e
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making the TUN device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// read takes what a site sends, loses some of it, and puts the rest on its way.
func (w *wan) read(from *site) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.tun.Read(buffer)
		if err != nil {
			return
		}
		if n < 20 || buffer[0]>>4 != 4 {
			continue // IPv6 looks for its routers
		}
		to := net.IP(buffer[16:20])
		for _, s := range w.sites {
			if !s.ip.Equal(to) || w.loses() {
				continue
			}
			select {
			case s.packets <- parcel{append([]byte(nil), buffer[:n]...), time.Now().Add(w.delay)}:
			default: // a full queue loses packets, too
			}
		}
	}
}

func (w *wan) loses() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count.carried++
	lost := w.rnd.Float64() < w.loss
	if lost {
		w.count.lost++
	}
	return lost
}

// write hands a site its packets, each when it is due.
func (s *site) write() {
	for p := range s.packets {
		if wait := time.Until(p.due); wait > 0 {
			time.Sleep(wait) // this is the line's delay
		}
		if _, err := s.tun.Write(p.data); errors.Is(err, os.ErrClosed) {
			return
		}
	}
}

// inside is the command under which a program runs at a site.
func (w *wan) inside(name string) []string {
	return []string{"ip", "netns", "exec", w.sites[name].space}
}

// dial connects at a site to an address there, as that site's own people do.
func (w *wan) dial(ctx context.Context, name, address string) (net.Conn, error) {
	type dialled struct {
		net.Conn
		error
	}
	result := make(chan dialled, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is in another namespace now and ends with this goroutine
		space, err := os.Open("/run/netns/" + w.sites[name].space)
		if err != nil {
			result <- dialled{nil, err}
			return
		}
		defer space.Close()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- dialled{nil, err}
			return
		}
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		result <- dialled{c, err}
	}()
	d := <-result
	return d.Conn, d.error
}

// longLines puts each member of a rack at a site of its own, with the time of a line between two sites and its loss given, if
// this machine lets a test do so. The coordinator may be at the hub's site instead.
func longLines(t testing.TB, oneWay time.Duration, loss float64, seed uint64, coordinatorAt string) (o rackOptions, counts func() string, err error) {
	sites := append([]string{memberHub}, three...)
	if coordinatorAt == memberCoordinator {
		sites = append(sites, memberCoordinator)
	}
	w, err := newWAN(t, oneWay, loss, seed, sites...)
	if err != nil {
		return o, nil, err
	}
	w.sites[memberCoordinator] = w.sites[coordinatorAt] // after the lines were made: one site, one line
	at := map[string]string{}                           // site by gateway
	o = rackOptions{hubHost: w.sites[memberHub].ip.String(), wrap: w.inside}
	o.gateway = func(party, address string) { at[address] = party }
	o.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return w.dial(ctx, at[address], address)
		},
	}}
	return o, func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		return fmt.Sprintf("%d packets carried, %d of them lost", w.count.carried, w.count.lost)
	}, nil
}
