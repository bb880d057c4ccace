package oauth

import "strings"

// servers says whose POP and SMTP servers take tokens: a host, or with a
// leading dot all below it.
var servers = []struct{ host, provider string }{
	{"smtp.partner.outlook.cn", "microsoft-cn"}, {"partner.outlook.cn", "microsoft-cn"},
	{".office365.com", "microsoft"}, {".outlook.com", "microsoft"},
	{".hotmail.com", "microsoft"}, {".live.com", "microsoft"},
	{".gmail.com", "google"}, {".googlemail.com", "google"},
	{".fastmail.com", "fastmail"}, {".messagingengine.com", "fastmail"},
	{".mail.yahoo.com", "yahoo"}, {".att.net", "yahoo"}, {".sbcglobal.net", "yahoo"}, {".sky.com", "yahoo"},
	{".aol.com", "aol"}, {".verizon.net", "aol"},
	{".comcast.net", "comcast"},
	// Yandex takes tokens for SMTP alone.
	{"smtp.yandex.com", "yandex"}, {"smtp.yandex.ru", "yandex"}, {"smtp.yandex.com.tr", "yandex"}, {"smtp.ya.ru", "yandex"},
}

// ProviderOf returns the provider whose tokens a POP or SMTP server takes, or ""
// where none is known.
func ProviderOf(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, s := range servers {
		if host == s.host || s.host[0] == '.' && strings.HasSuffix(host, s.host) {
			return s.provider
		}
	}
	return ""
}
