package api

import "github.com/popbridge/popbridge/agent/operations"

func editingRoutes(e operations.Editing) []Route {
	return []Route{
		streamed("POST /accounts/discover", e.Discover),
		plain("POST /accounts/try", e.TryAccount),
		plain("POST /accounts", e.AddAccount),
		plain("POST /accounts/client", e.AddClient),
		plain("POST /accounts/device", e.MakeFirstDevice),
		plain("POST /accounts/details", e.AccountDetails),
		plain("POST /accounts/plan", e.PlanAccount),
		plain("PATCH /accounts", e.SetAccount),
		plain("POST /accounts/login", e.SetLogin),
		plain("POST /accounts/sending", e.SetSending),
		plain("POST /accounts/signin", e.UseSignIn),
		plain("DELETE /accounts", e.RemoveAccount),
		plain("POST /confirm", e.ConfirmSeen),
		plain("POST /users/rename", e.RenameUserWithAccounts),
	}
}
