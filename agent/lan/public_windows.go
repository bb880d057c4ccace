package lan

import (
	"runtime"
	"syscall"
	"unsafe"

	"github.com/go-ole/go-ole"
	"golang.org/x/sys/windows"
)

// What Windows knows of networks is told by COM only (netlistmgr.h). A method is called by
// its place in the table of its interface, behind the seven of IUnknown and IDispatch.
var (
	networkListManager  = ole.NewGUID("{DCB00C01-570F-4A9B-8D69-199FDBA5723B}")
	iNetworkListManager = ole.NewGUID("{DCB00000-570F-4A9B-8D69-199FDBA5723B}")
)

const (
	getNetworkConnections = 9  // INetworkListManager
	next                  = 8  // IEnumNetworkConnections
	getNetwork            = 7  // INetworkConnection
	getAdapterID          = 12 // INetworkConnection
	getCategory           = 18 // INetwork

	categoryPublic = 0 // NLM_NETWORK_CATEGORY
)

// publicInterfaces returns the indexes of the interfaces that are in a network which is
// marked public in Windows. Where that cannot be found out, an error says why.
func publicInterfaces() (public map[int]bool, err error) {
	adapters, err := publicAdapters()
	if err != nil || len(adapters) == 0 {
		return nil, err
	}
	all, err := adapterAddresses()
	if err != nil {
		return nil, err
	}
	public = map[int]bool{}
	for a := all; a != nil; a = a.Next {
		id, err := windows.GUIDFromString(windows.BytePtrToString(a.AdapterName))
		if err == nil && adapters[id] {
			public[int(a.IfIndex)] = true
			public[int(a.Ipv6IfIndex)] = true
		}
	}
	return public, nil
}

func publicAdapters() (map[windows.GUID]bool, error) {
	runtime.LockOSThread() // COM is begun for a thread
	defer runtime.UnlockOSThread()
	if err := ole.CoInitializeEx(0, ole.COINIT_MULTITHREADED); err != nil && code(err) != sFalse {
		return nil, err
	}
	defer ole.CoUninitialize()
	manager, err := ole.CreateInstance(networkListManager, iNetworkListManager)
	if err != nil {
		return nil, err
	}
	defer manager.Release()
	var list *ole.IUnknown
	if err := call(manager, getNetworkConnections, uintptr(unsafe.Pointer(&list))); err != nil {
		return nil, err
	}
	defer list.Release()
	public := map[windows.GUID]bool{}
	for {
		var connection *ole.IUnknown
		var n uint32
		err := call(list, next, 1, uintptr(unsafe.Pointer(&connection)), uintptr(unsafe.Pointer(&n)))
		if code(err) == sFalse || err == nil && (n == 0 || connection == nil) {
			return public, nil
		}
		if err != nil {
			return nil, err
		}
		id, is, err := ofConnection(connection)
		if err != nil {
			return nil, err
		}
		if is {
			public[id] = true
		}
	}
}

// ofConnection is the adapter of a connection, and whether its network is public.
func ofConnection(connection *ole.IUnknown) (id windows.GUID, public bool, err error) {
	defer connection.Release()
	if err := call(connection, getAdapterID, uintptr(unsafe.Pointer(&id))); err != nil {
		return id, false, err
	}
	var network *ole.IUnknown
	if err := call(connection, getNetwork, uintptr(unsafe.Pointer(&network))); err != nil {
		return id, false, err
	}
	defer network.Release()
	category := int32(-1)
	err = call(network, getCategory, uintptr(unsafe.Pointer(&category)))
	return id, category == categoryPublic, err
}

const sFalse = 1 // what was asked for was there already, or there is no more

func code(err error) uintptr {
	if e, ok := err.(*ole.OleError); ok {
		return e.Code()
	}
	return 0
}

// call calls a method of a COM object by its place in its table.
func call(object *ole.IUnknown, place int, args ...uintptr) error {
	table := (*[32]uintptr)(unsafe.Pointer(object.RawVTable))
	hr, _, _ := syscall.SyscallN(table[place], append([]uintptr{uintptr(unsafe.Pointer(object))}, args...)...)
	if hr != 0 {
		return ole.NewError(hr)
	}
	return nil
}

// adapterAddresses lists the adapters with their names, which package net does not tell.
func adapterAddresses() (*windows.IpAdapterAddresses, error) {
	size := uint32(15_000) // as the documentation of GetAdaptersAddresses advises
	for {
		buf := make([]byte, size)
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&buf[0]))
		err := windows.GetAdaptersAddresses(syscall.AF_UNSPEC, windows.GAA_FLAG_INCLUDE_PREFIX, 0, first, &size)
		if err == windows.ERROR_BUFFER_OVERFLOW && int(size) > len(buf) {
			continue
		}
		return first, err
	}
}
